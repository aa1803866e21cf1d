/** What is needed of ELF64 little-endian files, as of elf(5). */

const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NEEDED = 1
const DT_STRTAB = 5

interface Segment {
  type: number
  /** Bytes from the start of the file. */
  offset: number
  address: number
  fileSize: number
}

export const isElf = (bytes: Buffer): boolean => bytes.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))

/** Program headers. @throws {Error} when the file is no ELF64 little-endian file. */
function segments(elf: Buffer): Segment[] {
  if (!isElf(elf) || elf[4] !== 2 || elf[5] !== 1) throw new Error('not an ELF64 little-endian file')
  const table = Number(elf.readBigUInt64LE(0x20))
  const size = elf.readUInt16LE(0x36)
  return Array.from({ length: elf.readUInt16LE(0x38) }, (_, index) => {
    const at = table + index * size
    return {
      type: elf.readUInt32LE(at),
      offset: Number(elf.readBigUInt64LE(at + 8)),
      address: Number(elf.readBigUInt64LE(at + 16)),
      fileSize: Number(elf.readBigUInt64LE(at + 32)),
    }
  })
}

/** Names of the shared libraries that the file asks for (DT_NEEDED); empty for a static one. */
export function neededLibraries(elf: Buffer): string[] {
  const all = segments(elf)
  const dynamic = all.find(({ type }) => type === PT_DYNAMIC)
  if (dynamic === undefined) return []
  const entries = Array.from({ length: dynamic.fileSize / 16 }, (_, index) => ({
    tag: Number(elf.readBigInt64LE(dynamic.offset + index * 16)),
    value: Number(elf.readBigUInt64LE(dynamic.offset + index * 16 + 8)),
  }))
  const address = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0
  const home = all.find(
    (each) => each.type === PT_LOAD && address >= each.address && address < each.address + each.fileSize,
  )
  if (home === undefined) throw new Error('an ELF file has no string table in its segments')
  const strings = elf.subarray(home.offset + address - home.address)
  return entries
    .filter(({ tag }) => tag === DT_NEEDED)
    .map(({ value }) => strings.toString('latin1', value, strings.indexOf(0, value)))
}

/**
 * The part of an executable that the kernel and the dynamic loader read: its segments. Symbols for debuggers and section headers come
 * after it, and are cut off.
 */
export function withoutSections(elf: Buffer): Buffer {
  const end = Math.max(...segments(elf).map(({ offset, fileSize }) => offset + fileSize))
  const kept = Buffer.from(elf.subarray(0, end))
  kept.writeBigUInt64LE(0n, 0x28) // e_shoff
  kept.fill(0, 0x3a, 0x40) // e_shentsize, e_shnum, e_shstrndx
  return kept
}
