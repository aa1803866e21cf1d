import { putMbrEntry } from '../table/mbr.ts'
import { bendField, damage, type Field } from './mutate.ts'
import type { Random } from './random.ts'
import type { SparseImage } from './sparse-image.ts'
import { volumeParts } from './volume-parts.ts'

const MiB = 1024 * 1024
const EXTENDED = [0x05, 0x0f, 0x85]

/** Fields of one partition sector. */
const FIELDS: Field[] = [0, 1, 2, 3].flatMap((slot): Field[] => {
  const at = 446 + 16 * slot
  return [
    { at, bytes: 1 },
    { at: at + 4, bytes: 1 },
    { at: at + 8, bytes: 4 },
    { at: at + 12, bytes: 4 },
  ]
})

/** An image with primary partitions and, mostly, a chain of logical ones, sound or changed in some values. */
export function makeMbrImage(random: Random): SparseImage {
  const sectorSize = random.chance(0.9) ? 512 : 4096
  const sectors = random.pick([4096, 8192, 100_000, 2 ** 32 + 5]) + random.below(40)
  const records: { lba: number; bytes: Buffer }[] = [{ lba: 0, bytes: record() }]
  const mbr = records[0]?.bytes ?? record()
  const starts: number[] = []
  const quarter = Math.floor(Math.min(sectors, 2 ** 32) / 4)
  for (let slot = 0; slot < 4; slot++) {
    if (random.chance(0.3)) continue
    const startLba = Math.max(1, slot * quarter)
    const isExtended = random.chance(0.3)
    const entry = { number: slot + 1, bootFlag: random.pick([0, 0x80]), startLba, sectors: quarter - 1 }
    putMbrEntry(mbr, { ...entry, type: isExtended ? random.pick(EXTENDED) : 0x83 })
    if (isExtended) records.push(...chain(startLba, quarter - 1, random))
    else starts.push(startLba)
  }
  if (random.chance(0.2)) mbr.set(random.bytes(90), 0)
  for (let edits = random.pick([0, 1, 1, 2, 3, 4]); edits > 0; edits--) {
    const chosen = random.pick(records)
    if (random.chance(0.85)) bendField(chosen.bytes, random.pick(FIELDS), FIELDS, 'little', random)
    else chosen.bytes = Buffer.concat([damage(chosen.bytes, random)], 512)
  }
  const imageSize = sectors * sectorSize - random.pick([0, 0, 0, 512, 1])
  const more = random.pick([0, MiB, 8 * MiB, 2 ** 41])
  return {
    imageSize,
    diskSize: Math.max(Math.ceil(imageSize / sectorSize) * sectorSize + more, 4 * MiB),
    sectorSize,
    configDriveBytes: random.pick([0, 0, 65_536, MiB]),
    parts: [
      ...starts.flatMap((start) => volumeParts(start * sectorSize, random)),
      ...records.map(({ lba, bytes }) => ({ offset: lba * sectorSize, bytes })),
    ],
  }
}

function record(): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.set([0x55, 0xaa], 510)
  return bytes
}

/** Extended boot records, each with one logical partition; the last one sometimes leads back. */
function chain(start: number, sectors: number, random: Random): { lba: number; bytes: Buffer }[] {
  const count = random.pick([0, 1, 2, 3, random.chance(0.01) ? 258 : 3])
  const step = Math.floor(sectors / (count + 1))
  return Array.from({ length: count }, (_, index) => {
    const bytes = record()
    const logical = { number: 1, bootFlag: 0, type: 0x83, startLba: 1, sectors: Math.max(1, step - 2) }
    putMbrEntry(bytes, logical)
    const isLast = index === count - 1
    if (!isLast || random.chance(0.1)) {
      const next = isLast ? 0 : (index + 1) * step
      putMbrEntry(bytes, { number: 2, bootFlag: 0, type: 0x05, startLba: next, sectors: step })
    }
    return { lba: start + index * step, bytes }
  })
}
