import { readQcow2Header } from '../../decode/qcow2-header.ts'

/**
 * What "qemu-img check" calls a corruption although byoi deploys the image: numbers that only a program that writes into the image
 * uses. A reader, byoi's or QEMU's, sees the same disk with or without it.
 */
export const ACCEPTED_CORRUPTION: { says: RegExp; why: string }[] = [
  {
    says: /^ERROR cluster \d+ refcount=\d+ reference=\d+$/,
    why: 'A cluster is used more often than its refcount says. Refcounts tell a writer where it may write; a reader follows the tables.',
  },
  {
    says: /^ERROR: overflow cluster offset=0x[0-9a-f]+$|^Use qemu-img amend to increase the refcount entry width|^cannot be opened for writing$/,
    why: 'A cluster is used more often than its refcount could say.',
  },
  {
    says: /^ERROR OFLAG_COPIED |^ERROR: coffset=0x[0-9a-f]+: copied flag must never be set for compressed clusters$/,
    why: 'Bit 63 of an entry tells a writer whether it may write in place; a reader ignores it.',
  },
  {
    says: /^ERROR refcount (?:block|table entry) \d+ /,
    why: 'The refcount table names a refcount block where none can be. A reader needs none.',
  },
  {
    says: /^Can't get refcount for cluster \d+: /,
    why: 'It follows from one of the others.',
  },
]

/** Lines of "qemu-img check" that are no corruption. */
const HARMLESS = [
  /^Leaked cluster \d+ refcount=\d+ reference=\d+$/,
  /^WARNING: /,
  /^qcow2: Marking image as corrupt|^qcow2: Image is corrupt: Refblock offset/,
  /^qemu-img: Check failed/,
  /^$/,
]

/** The lines that are neither harmless nor listed. */
export const unlisted = (lines: string[]): string[] =>
  lines.filter(
    (line) => ![...HARMLESS, ...ACCEPTED_CORRUPTION.map(({ says }) => says)].some((each) => each.test(line)),
  )

/**
 * The last of the listed ways is told by taking it away: entries of L1 and L2 tables behind the end of the disk, which "qemu-img
 * check" looks at and no reader does. Returns a copy without them, of an image that byoi accepts.
 */
export function withoutUnusedEntries(image: Buffer): Buffer {
  const { l1Offset, l1Entries, l2Entries, l2Span, clusterSize, size, extendedL2 } = readQcow2Header(
    image.subarray(0, 2 ** image.readUInt32BE(20)),
  )
  const copy = Buffer.from(image)
  copy.writeUInt32BE(l1Entries, 36)
  const tables = Array.from({ length: l1Entries }, (_, index) =>
    Number(copy.readBigUInt64BE(l1Offset + index * 8) & 0x00ff_ffff_ffff_fe00n),
  )
  const last = tables.at(-1) ?? 0
  const used = Math.ceil((size - (l1Entries - 1) * l2Span) / clusterSize)
  // A table that other entries use too has all of its entries in use.
  if (last !== 0 && tables.indexOf(last) === l1Entries - 1 && used < l2Entries)
    copy.fill(0, last + used * (extendedL2 ? 16 : 8), last + clusterSize)
  return copy
}
