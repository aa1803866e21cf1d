import { type NetbootAnswer, type ServerAnswer } from '@byoi/contract'
import { type Subnet } from './subnet.ts'

export interface DnsmasqOptions {
  netboot: NetbootAnswer
  servers: ServerAnswer[]
  subnet: Subnet
  /** Another DHCP server gives the addresses, dnsmasq only what to boot (PXE specification 2.1, proxyDHCP). */
  proxy: boolean
  /** Directory with undionly.kpxe and snponly.efi. */
  tftp: string
}

/** Configuration of dnsmasq (dnsmasq(8)) with which servers boot from the provisioning listener. */
export function dnsmasqConfig(options: DnsmasqOptions): string {
  const { netboot, subnet, proxy, tftp } = options
  return [
    `# dnsmasq for servers that boot from ${netboot.provisioningUrl}, on ${subnet.interface}.`,
    '# Made by byoi netboot config: make it again when servers are added or change how they boot.',
    ...serverComments(options.servers),
    '',
    '# No DNS.',
    'port=0',
    `interface=${subnet.interface}`,
    'bind-interfaces',
    '',
    ...(proxy ? proxyAddresses(subnet) : addresses(subnet)),
    '',
    '# iPXE asks for an IPv6 router too, and waits 16 seconds at each boot where there is none. The interface needs an IPv6 address,',
    '# such as fd77::1/64.',
    'enable-ra',
    `dhcp-range=::,constructor:${subnet.interface},ra-only`,
    '',
    '# Boot programs for firmware without iPXE; the directory must be readable for the user that dnsmasq runs as.',
    'enable-tftp',
    `tftp-root=${tftp}`,
    '',
    ...(proxy ? proxyBoot(options) : boot(options)),
    '',
  ].join('\n')
}

const agentServers = (servers: ServerAnswer[]) =>
  servers.flatMap(({ serviceName, agentBoot }) => (agentBoot === null ? [] : [{ serviceName, ...agentBoot }]))

const serverComments = (servers: ServerAnswer[]): string[] =>
  agentServers(servers).map(({ serviceName, way, macs }) => `#   ${[serviceName, way, ...macs].join(' ')}`)

const addresses = ({ first, last, mask }: Subnet): string[] => [
  `dhcp-range=${first},${last},${mask},1h`,
  'dhcp-authoritative',
]

const proxyAddresses = ({ network }: Subnet): string[] => [
  '# Another DHCP server gives the addresses.',
  `dhcp-range=${network},proxy`,
]

/** iPXE sends option 175; the others tell their architecture (RFC 4578, section 2.1, and the IANA registry). */
const clients = [
  'dhcp-match=set:ipxe,175',
  'dhcp-match=set:bios,option:client-arch,0',
  'dhcp-match=set:efi,option:client-arch,7',
  'dhcp-match=set:efi,option:client-arch,9',
  'dhcp-match=set:efihttp,option:client-arch,16',
]

function boot({ netboot: { provisioningUrl }, servers }: DnsmasqOptions): string[] {
  return [
    ...clients,
    `dhcp-boot=tag:ipxe,${provisioningUrl}/netboot/boot.ipxe`,
    'dhcp-boot=tag:!ipxe,tag:!iso,tag:bios,undionly.kpxe',
    'dhcp-boot=tag:!ipxe,tag:!iso,tag:efi,snponly.efi',
    `dhcp-boot=tag:!ipxe,tag:!iso,tag:efihttp,${provisioningUrl}/netboot/ipxe/ipxe.efi`,
    '# UEFI HTTP boot wants its own word back (UEFI 2.10, section 24.7.2).',
    'dhcp-option-force=tag:efihttp,60,HTTPClient',
    ...isoServers(provisioningUrl, servers),
  ]
}

/** Servers whose firmware fetches the CD itself, which is the way for Secure Boot: each from a URL of its own. */
function isoServers(provisioningUrl: string, servers: ServerAnswer[]): string[] {
  const lines = agentServers(servers)
    .filter(({ way }) => way === 'uefi-http')
    .flatMap(({ macs }) => macs)
    .flatMap((mac) => {
      const tag = `m${mac.replaceAll(':', '')}`
      return [
        `dhcp-host=${mac},set:iso,set:${tag}`,
        `dhcp-boot=tag:${tag},tag:efihttp,${isoUrl(provisioningUrl, mac)}`,
      ]
    })
  return lines.length === 0 ? [] : ['', '# UEFI HTTP boot of the CD, also under Secure Boot.', ...lines]
}

const isoUrl = (provisioningUrl: string, mac: string): string =>
  `${provisioningUrl}/netboot/${mac.replaceAll(':', '-')}/byoi.iso`

function proxyBoot({ netboot: { provisioningUrl }, servers }: DnsmasqOptions): string[] {
  const script = `${provisioningUrl}/netboot/boot.ipxe`
  const first = [
    ['x86PC', 'undionly.kpxe'],
    ['X86-64_EFI', 'snponly.efi'],
    ['BC_EFI', 'snponly.efi'],
  ]
  return [
    'dhcp-match=set:ipxe,175',
    ...first.map(([kind, program]) => `pxe-service=tag:!ipxe,${kind},"byoi",${program}`),
    ...first.map(([kind]) => `pxe-service=tag:ipxe,${kind},"byoi",${script}`),
    `dhcp-boot=tag:ipxe,${script}`,
    ...proxyIsoServers(provisioningUrl, servers),
  ]
}

/** HTTP boot knows no proxy: the DHCP server that gives the addresses must say it. */
function proxyIsoServers(provisioningUrl: string, servers: ServerAnswer[]): string[] {
  const found = agentServers(servers).filter(({ way }) => way === 'uefi-http')
  if (found.length === 0) return []
  return [
    '',
    '# UEFI HTTP boot takes no answer of a proxy. The other DHCP server must send option 60 HTTPClient, and as boot file name:',
    ...found.flatMap(({ macs }) => macs.map((mac) => `#   ${mac}  ${isoUrl(provisioningUrl, mac)}`)),
  ]
}
