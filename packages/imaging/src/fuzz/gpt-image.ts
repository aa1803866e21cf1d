import { crc32 } from 'node:zlib'
import { encodeGptEntry, encodeGptHeader, type GptHeader } from '../table/gpt.ts'
import { protectiveMbr, putMbrEntry } from '../table/mbr.ts'
import { bendField, damage, type Field } from './mutate.ts'
import type { Random } from './random.ts'
import type { SparseImage } from './sparse-image.ts'
import { volumeParts } from './volume-parts.ts'

const MiB = 1024 * 1024

/** Offset and width of a header's fields (UEFI specification 2.10, table 5.5). */
const HEADER: Field[] = [
  { at: 0, bytes: 8 },
  { at: 8, bytes: 4 },
  { at: 12, bytes: 4 },
  { at: 16, bytes: 4 },
  { at: 24, bytes: 8 },
  { at: 32, bytes: 8 },
  { at: 40, bytes: 8 },
  { at: 48, bytes: 8 },
  { at: 72, bytes: 8 },
  { at: 80, bytes: 4 },
  { at: 84, bytes: 4 },
  { at: 88, bytes: 4 },
]

interface Copy {
  header: Buffer
  array: Buffer
  lba: number
  entriesLba: number
}

/** An image with a GPT, sound or changed in some values of either copy; its CRCs are right more often than not. */
export function makeGptImage(random: Random): SparseImage {
  const sectorSize = random.chance(0.85) ? 512 : 4096
  const sectors = random.pick([64, 4096, 6144, 100_000, 2 ** 32 + 5]) + random.below(40)
  const imageSize = sectors * sectorSize - (random.chance(0.05) ? 512 : 0)
  const { primary, backup, starts } = copies(sectors, sectorSize, random)
  const changed = [primary, backup]
  for (let edits = random.pick([0, 1, 1, 1, 2, 3, 4]); edits > 0; edits--)
    bend(random.pick(changed), sectorSize, random)
  if (random.chance(0.2)) backup.array = Buffer.from(primary.array)
  for (const copy of changed) if (random.chance(0.75)) mend(copy)
  const parts = changed.flatMap(({ header, array, lba, entriesLba }) => [
    { offset: entriesLba * sectorSize, bytes: array },
    { offset: lba * sectorSize, bytes: header },
  ])
  const [mbr] = random.chance(0.95) ? [sectorZero(sectors, random)] : [Buffer.alloc(512)]
  return {
    imageSize,
    diskSize: Math.max(
      Math.ceil(imageSize / sectorSize) * sectorSize + more(random),
      random.chance(0.98) ? 4 * MiB : 0,
    ),
    sectorSize,
    configDriveBytes: random.pick([0, 0, 65_536, MiB]),
    parts: [
      ...starts.flatMap((start) => volumeParts(start * sectorSize, random)),
      ...parts.filter(() => random.chance(0.97)),
      { offset: 0, bytes: mbr },
    ].filter(({ offset }) => offset >= 0),
  }
}

const more = (random: Random): number =>
  random.pick([0, 4096, MiB, 8 * MiB, 2 ** 41, random.pick([512, -4096])])

/** Both copies of a table whose partitions do not overlap. */
function copies(sectors: number, sectorSize: 512 | 4096, random: Random) {
  const entryCount = random.pick([4, 4, 16, 128])
  const entrySize = random.pick([128, 128, 128, 256])
  const arraySectors = Math.ceil((entryCount * entrySize) / sectorSize)
  const lastLba = sectors - 1
  const first = 2 + arraySectors
  const last = lastLba - arraySectors - 1
  const edges = Array.from({ length: 2 * random.between(1, 4) }, () =>
    random.between(first, Math.max(first, last)),
  )
  edges.sort((a, b) => a - b)
  const array = Buffer.alloc(entryCount * entrySize)
  const starts: number[] = []
  for (let at = 0; at + 1 < edges.length; at += 2) {
    const [startLba = 0, endLba = 0] = edges.slice(at, at + 2)
    if (at > 0 && startLba <= (edges[at - 1] as number)) continue
    const name = random.pick(['', 'root', 'config-2', 'x'.repeat(36)])
    const entry = { type: random.bytes(16), guid: random.bytes(16), startLba, endLba, name }
    starts.push(startLba)
    array.set(encodeGptEntry(entry, entrySize), (at / 2) * entrySize)
  }
  const header: GptHeader = {
    headerSize: random.chance(0.9) ? 92 : random.between(92, 512),
    myLba: 1,
    alternateLba: lastLba,
    firstUsableLba: first,
    lastUsableLba: Math.max(first, last),
    diskGuid: random.bytes(16),
    entriesLba: 2,
    entryCount,
    entrySize,
    entriesCrc: crc32(array),
    extra: new Uint8Array(0),
  }
  const backupLba = Math.max(1, lastLba - arraySectors)
  const encode = (changes: Partial<GptHeader>, lba: number, entriesLba: number): Copy => ({
    header: Buffer.from(encodeGptHeader({ ...header, ...changes, entriesLba }, sectorSize)),
    array: Buffer.from(array),
    lba,
    entriesLba,
  })
  const primary = encode({}, 1, 2)
  const backup = encode({ myLba: lastLba, alternateLba: 1 }, lastLba, backupLba)
  return { primary, backup, starts }
}

function bend(copy: Copy, sectorSize: number, random: Random): void {
  const entry = 128 * random.below(4)
  const entryFields: Field[] = [
    { at: entry, bytes: 8 },
    { at: entry + 16, bytes: 8 },
    { at: entry + 32, bytes: 8 },
    { at: entry + 40, bytes: 8 },
    { at: entry + 56, bytes: 8 },
  ]
  random.pick([
    () => bendField(copy.header, random.pick(HEADER), HEADER, 'little', random),
    () => bendField(copy.header, random.pick(HEADER), HEADER, 'little', random),
    () => bendField(copy.array, random.pick(entryFields), entryFields, 'little', random),
    () => bendField(copy.array, random.pick(entryFields), entryFields, 'little', random),
    () => void copy.array.copyWithin(entry, 0, 128), // came twice
    () => void (copy.lba = Math.max(0, copy.lba + random.pick([-1, 1]))),
    () => void (copy.header = Buffer.concat([damage(copy.header, random)], sectorSize)),
  ])()
}

/** Makes both CRCs right for what is there. */
function mend({ header, array }: Copy): void {
  const size = header.readUInt32LE(12)
  const covered = header.readUInt32LE(80) * header.readUInt32LE(84)
  if (covered <= array.length) header.writeUInt32LE(crc32(array.subarray(0, covered)), 88)
  if (size < 92 || size > header.length) return
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header.subarray(0, size)), 16)
}

/** A protective MBR, a hybrid one, or a damaged one. */
function sectorZero(sectors: number, random: Random): Buffer {
  const bytes = Buffer.from(protectiveMbr(Buffer.alloc(512), sectors, sectors).mbr)
  if (random.chance(0.1)) {
    putMbrEntry(bytes, {
      number: random.between(2, 4),
      bootFlag: 0x80,
      type: 0x83,
      startLba: 2048,
      sectors: 2048,
    })
  }
  if (random.chance(0.2)) bytes[446 + random.below(66)] = random.pick([0, 1, 0x80, 0xee, 0xff])
  return bytes
}
