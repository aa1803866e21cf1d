import type { Random } from './random.ts'
import type { SparseImage } from './sparse-image.ts'

/** What may stand at the start of a partition and is looked at for a config drive's label; sometimes damaged. */
export function volumeParts(offset: number, random: Random): SparseImage['parts'] {
  const label = random.pick(['config-2   ', 'CONFIG-2   ', 'cidata     '])
  const parts = random.pick([
    () => [],
    () => [],
    () => fat(offset, label, random),
    () => iso(offset, label),
  ])()
  for (const { bytes } of parts) {
    if (random.chance(0.3))
      bytes[random.below(bytes.length)] = random.pick([0, 1, 0x7f, 0xff, random.below(256)])
  }
  return parts
}

/** ECMA-119 section 8.4: the primary volume descriptor. */
function iso(offset: number, label: string): SparseImage['parts'] {
  const bytes = Buffer.alloc(128)
  bytes.write('\x01CD001\x01', 0, 'latin1')
  bytes.write(label, 40, 'latin1')
  return [{ offset: offset + 16 * 2048, bytes }]
}

/** A boot sector, and the first entry of a root directory. */
function fat(offset: number, label: string, random: Random): SparseImage['parts'] {
  const boot = Buffer.alloc(512)
  const is32 = random.chance(0.3)
  boot.write('\xeb\x3c\x90mkfs.fat', 0, 'latin1')
  boot.writeUInt16LE(512, 11)
  boot.writeUInt8(random.pick([0, 1, 4]), 13)
  boot.writeUInt16LE(1, 14)
  boot.writeUInt8(2, 16)
  boot.writeUInt8(0xf8, 21)
  if (is32) {
    boot.writeUInt32LE(3, 36)
    boot.writeUInt32LE(random.pick([2, 0, 3]), 44)
  } else boot.writeUInt16LE(3, 22)
  boot.write(label, is32 ? 71 : 43, 'latin1')
  boot.set([0x55, 0xaa], 510)
  const entry = Buffer.alloc(64)
  entry.write(label, random.pick([0, 32]), 'latin1')
  entry[11] = random.pick([0x08, 0x20])
  entry[43] = 0x08
  return [
    { offset, bytes: boot },
    { offset: offset + 7 * 512, bytes: entry },
  ]
}
