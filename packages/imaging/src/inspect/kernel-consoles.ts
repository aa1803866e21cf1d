import { type FileTree, unlessFault } from '../filesystem/file-tree.ts'
import type { KernelConsoles } from './inspection.types.ts'

/** More than any sound image has. */
const MOST_ENTRIES = 16
const MOST_BYTES = 256 * 1024

/** Folders under which a boot loader's files are, on the partition that is /boot, the root, or the EFI system partition. */
const places = ['', 'boot/']
/** GRUB's script and variables, extlinux. */
const files = ['grub/grub.cfg', 'grub2/grub.cfg', 'grub2/grubenv', 'extlinux/extlinux.conf']
/** The Boot Loader Specification's entries, which GRUB of Fedora's family and systemd-boot read. */
const entryFolder = 'loader/entries'

const kernelLine =
  /^[ \t]*(?:(?:linux|linux16|linuxefi|options|append)[ \t]|(?:set[ \t]+)?kernelopts=)[^\n]*/gim
const consoleWord = /[\s"]console=([\w,.:/-]{1,64})(?=[\s"]|$)/g

/** What the boot loader's files on a volume tell kernels of consoles: one for each file with a kernel's command line. */
export async function findConsoles(tree: FileTree): Promise<Omit<KernelConsoles, 'partition'>[]> {
  const found: Omit<KernelConsoles, 'partition'>[] = []
  for (const place of places) {
    const entries = (await unlessFault(tree.list(place + entryFolder))) ?? []
    const listed = entries.filter((name) => name.endsWith('.conf')).sort()
    const paths = [...files, ...listed.slice(0, MOST_ENTRIES).map((name) => `${entryFolder}/${name}`)]
    for (const path of paths) {
      const text = await unlessFault(tree.read(place + path, MOST_BYTES))
      const consoles = text && consolesIn(text.toString('latin1'))
      if (consoles) found.push({ path: `/${place}${path}`, consoles })
    }
  }
  return found
}

/** Null where the text has no kernel's command line. */
export function consolesIn(text: string): string[] | null {
  const lines = text.match(kernelLine)
  if (!lines) return null
  return [...new Set(lines.flatMap((line) => [...line.matchAll(consoleWord)].map(([, name]) => name ?? '')))]
}
