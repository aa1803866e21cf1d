/**
 * Scripts for iPXE (https://ipxe.org/scripting). References are relative to the script's own URL, so that they hold behind every
 * name and proxy. `exit 1` lets the firmware go on to its next boot device; after `exit 0` UEFI would stop in its menu.
 */

/** Ports that iPXE is asked for beside the one that it booted from: a server may boot from one that its record does not name. */
const ports = ['netX', ...Array.from({ length: 8 }, (_, port) => `net${port}`)]

/**
 * Asks again, telling the addresses of the server's ports; one that is not there expands to nothing. With dashes: Debian's iPXE of 2019
 * takes what stands before a colon for the scheme of a URL.
 */
export const askScript = `#!ipxe
chain --autofree --replace boot.ipxe?${ports.map((port) => `mac=\${${port}/mac:hexhyp}`).join('&')} || echo byoi: the control plane did not answer
exit 1
`

/** For a server that is not to start an agent now. `reason` holds no line end. */
export const nothingScript = (reason: string): string => `#!ipxe
echo byoi: ${reason}
exit 1
`

/**
 * Starts the agent. Each image goes by its name, which the kernel's EFI stub asks iPXE for (`initrd=`, twice); the medium comes
 * last, and the kernel unpacks it over the ramdisk.
 */
export const agentScript = ({
  server,
  words,
  word,
}: {
  server: string
  words: string
  word: string
}): string => `#!ipxe
echo byoi: starting the agent of ${server}
kernel --name vmlinuz vmlinuz initrd=initrd initrd=medium ${words} || goto failed
initrd --name initrd initrd || goto failed
initrd --name medium medium/${word} || goto failed
boot || goto failed
:failed
echo byoi: the agent could not be started; going on to the next boot device in 10 seconds
sleep 10
exit 1
`
