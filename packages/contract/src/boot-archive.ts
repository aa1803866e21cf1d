/**
 * What a server's boot has of its own, as bytes of a fixed length: they are patched into the one ISO that all servers share while
 * it is served, and served beside the ramdisk over the network.
 */
import { type BootMedium } from './agent-protocol.ts'
import { newcArchive } from './newc.ts'

export const bootMediumBytes = 4096
/** Where the agent finds its boot medium. */
export const bootMediumPath = '/etc/byoi/medium.json'

/**
 * An initramfs archive that holds nothing but the boot medium. It is unpacked over the ramdisk when the boot loader gives it as the
 * last initrd. The end is filled with zeros, which the kernel skips.
 *
 * @returns 4096 bytes. @throws {RangeError} when the medium does not fit; the message holds nothing of it.
 */
export function bootMediumArchive(medium: BootMedium): Buffer {
  return archiveOf(Buffer.from(JSON.stringify(medium)))
}

/** The archive of a boot that was given no medium yet: the agent finds an empty file. @returns 4096 bytes. */
export const emptyBootMediumArchive = (): Buffer => archiveOf(Buffer.alloc(0))

function archiveOf(data: Buffer): Buffer {
  const archive = Buffer.concat([
    ...newcArchive([
      { path: 'etc', kind: 'directory' },
      { path: 'etc/byoi', kind: 'directory' },
      { path: bootMediumPath.slice(1), kind: 'file', mode: 0o600, data },
    ]),
  ])
  return padded(archive, bootMediumBytes, 0, 'The boot medium')
}

/**
 * GRUB script that sets the variable `words` to the kernel's command line, filled up with line ends.
 *
 * @param words The whole command line: printable ASCII without quotes and backslashes, which GRUB would change on the way.
 * @param length Bytes of the file that it replaces.
 * @throws {RangeError} for other characters, or when it does not fit.
 */
export function kernelWordsFile(words: string, length: number): Buffer {
  if (!/^[\x20-\x7e]*$/.test(words) || /['"\\]/.test(words))
    throw new RangeError('Kernel words are printable ASCII without quotes and backslashes.')
  return padded(Buffer.from(`set words='${words}'\n`), length, 0x0a, 'The kernel words')
}

function padded(bytes: Buffer, length: number, fill: number, what: string): Buffer {
  if (bytes.length > length)
    throw new RangeError(`${what} would take ${bytes.length} of ${length} bytes: shorten what is in it.`)
  return Buffer.concat([bytes], length).fill(fill, bytes.length)
}

/**
 * The command line for one server: the ramdisk's usual words and then the server's own. The kernel drives one console of each kind, the
 * first that is named, so `console=ttyS1,115200` takes the place of the usual serial port and leaves the screen (`tty0`).
 */
export function joinKernelWords(usual: string, own: string): string {
  const list = (words: string): string[] => words.split(' ').filter((each) => each !== '')
  const replaced = list(own).map(consoleKind)
  const kept = list(usual).filter((each) => consoleKind(each) === '' || !replaced.includes(consoleKind(each)))
  return [...kept, ...list(own)].join(' ')
}

/** `ttyS` for `console=ttyS1,115200`, '' for other words. */
const consoleKind = (word: string): string => /^console=([a-zA-Z]+)/.exec(word)?.[1] ?? ''
