/** What is needed of ELF64 little-endian files, as of elf(5). */

const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_NOTE = 4
const DT_NEEDED = 1
const DT_STRTAB = 5
const PAGE = 4096

/** A program header. Offsets and sizes in bytes. */
interface Segment {
  type: number
  flags: number
  /** From the start of the file. */
  offset: number
  address: number
  fileSize: number
  memorySize: number
  align: number
}

export const isElf = (bytes: Buffer): boolean => bytes.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))

/** @throws {Error} when the file is no ELF64 little-endian file with program headers of the usual size. */
function readSegments(elf: Buffer): Segment[] {
  if (!isElf(elf) || elf[4] !== 2 || elf[5] !== 1 || elf.readUInt16LE(0x36) !== 56)
    throw new Error('not an ELF64 little-endian file')
  const table = Number(elf.readBigUInt64LE(0x20))
  return Array.from({ length: elf.readUInt16LE(0x38) }, (_, index) => {
    const at = table + index * 56
    const long = (from: number): number => Number(elf.readBigUInt64LE(at + from))
    return {
      type: elf.readUInt32LE(at),
      flags: elf.readUInt32LE(at + 4),
      offset: long(8),
      address: long(16),
      fileSize: long(32),
      memorySize: long(40),
      align: long(48),
    }
  })
}

/** In the place of the present ones, of which there must be as many or more. */
function writeSegments(elf: Buffer, segments: readonly Segment[]): void {
  const table = Number(elf.readBigUInt64LE(0x20))
  for (const [index, each] of segments.entries()) {
    const at = table + index * 56
    elf.writeUInt32LE(each.type, at)
    elf.writeUInt32LE(each.flags, at + 4)
    const longs = [each.offset, each.address, each.address, each.fileSize, each.memorySize, each.align]
    for (const [field, value] of longs.entries()) elf.writeBigUInt64LE(BigInt(value), at + 8 + 8 * field)
  }
  elf.writeUInt16LE(segments.length, 0x38)
}

/** Names of the shared libraries that the file asks for (DT_NEEDED); empty for a static one. */
export function neededLibraries(elf: Buffer): string[] {
  const segments = readSegments(elf)
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  if (dynamic === undefined) return []
  const entries = Array.from({ length: dynamic.fileSize / 16 }, (_, index) => ({
    tag: Number(elf.readBigInt64LE(dynamic.offset + index * 16)),
    value: Number(elf.readBigUInt64LE(dynamic.offset + index * 16 + 8)),
  }))
  const address = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0
  const home = segments.find(
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
  const end = Math.max(...readSegments(elf).map(({ offset, fileSize }) => offset + fileSize))
  const kept = Buffer.from(elf.subarray(0, end))
  kept.writeBigUInt64LE(0n, 0x28) // e_shoff
  kept.fill(0, 0x3a, 0x40) // e_shentsize, e_shnum, e_shstrndx
  return kept
}

/**
 * Cuts the whole pages between `from` and `to` out of an executable without sections: no address changes, and there is nothing at those
 * of the pages. The segment that held them becomes two; the header of the notes makes room for that.
 *
 * @throws {Error} when the pages are not all in one loaded segment, or something else begins or ends in them.
 */
export function withoutPages(elf: Buffer, from: number, to: number): Buffer {
  const first = Math.ceil(from / PAGE) * PAGE
  const length = Math.floor(to / PAGE) * PAGE - first
  const isAround = (each: Segment): boolean =>
    each.offset <= first && each.offset + each.fileSize >= first + length
  const before = (each: Segment): boolean => each.offset + each.fileSize <= first
  const after = (each: Segment): boolean => each.offset >= first + length
  const segments = readSegments(elf)
  if (!segments.every((each) => before(each) || after(each) || (each.type === PT_LOAD && isAround(each))))
    throw new Error('the pages to cut out of an ELF file are not inside one segment')
  const cut = segments
    .filter(({ type }) => type !== PT_NOTE)
    .flatMap((each): Segment[] => {
      if (before(each)) return [each]
      if (after(each)) return [{ ...each, offset: each.offset - length }]
      const head = first - each.offset
      const tail = head + length
      return [
        { ...each, fileSize: head, memorySize: head },
        {
          ...each,
          offset: first,
          address: each.address + tail,
          fileSize: each.fileSize - tail,
          memorySize: each.memorySize - tail,
        },
      ]
    })
  if (cut.length > segments.length) throw new Error('an ELF file has no room for another program header')
  const smaller = Buffer.concat([elf.subarray(0, first), elf.subarray(first + length)])
  writeSegments(smaller, cut)
  return smaller
}
