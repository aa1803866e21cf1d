/**
 * The same for other DHCP servers, as comments. `url`: of the provisioning listener; `host`: address of the TFTP server with
 * undionly.kpxe and snponly.efi.
 */
export const otherDhcpServers = (url: string, host: string): string => `
# Instead of dnsmasq, with TFTP served by anything at ${host}:
#
# Kea (kea-dhcp4.conf, "client-classes", in this order):
#   { "name": "ipxe", "test": "option[175].exists", "boot-file-name": "${url}/netboot/boot.ipxe" },
#   { "name": "efihttp", "test": "option[93].hex == 0x0010", "boot-file-name": "${url}/netboot/ipxe/ipxe.efi",
#     "option-data": [ { "name": "vendor-class-identifier", "data": "HTTPClient" } ] },
#   { "name": "efi", "test": "(option[93].hex == 0x0007 or option[93].hex == 0x0009) and not member('ipxe')",
#     "next-server": "${host}", "boot-file-name": "snponly.efi" },
#   { "name": "bios", "test": "option[93].hex == 0x0000 and not member('ipxe')",
#     "next-server": "${host}", "boot-file-name": "undionly.kpxe" }
# A server that boots the CD over HTTP gets a reservation with its own "boot-file-name".
#
# ISC dhcpd (dhcpd.conf):
#   option arch code 93 = unsigned integer 16;
#   if exists user-class and option user-class = "iPXE" { filename "${url}/netboot/boot.ipxe"; }
#   elsif option arch = 00:10 { option vendor-class-identifier "HTTPClient"; filename "${url}/netboot/ipxe/ipxe.efi"; }
#   elsif option arch = 00:07 or option arch = 00:09 { next-server ${host}; filename "snponly.efi"; }
#   else { next-server ${host}; filename "undionly.kpxe"; }
`
