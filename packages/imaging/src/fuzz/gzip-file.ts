import { crc32, deflateRawSync } from 'node:zlib'
import { bendField, damage, type Field, mutated } from './mutate.ts'
import type { Random } from './random.ts'

const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16 }

const contents = [
  Buffer.alloc(0),
  Buffer.from('x'),
  Buffer.alloc(700, 'content of a small packed file, '),
  Buffer.alloc(70_000),
]
const streams = contents.map((content) => [0, 1, 9].map((level) => deflateRawSync(content, { level })))

/** A member (RFC 1952 section 2.3) with any of the optional parts, and where its numbers stand in it. */
function member(random: Random): { bytes: Buffer; fields: Field[] } {
  const which = random.pick([0, 1, 1, 2, 2, 2, 2, random.chance(0.05) ? 3 : 2])
  const content = contents[which] as Buffer
  const stream = random.pick(streams[which] as Buffer[])
  const flags = random.chance(0.5) ? 0 : random.below(32) & ~1
  const parts: Buffer[] = [Buffer.from([0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3])]
  const fields: Field[] = [
    { at: 0, bytes: 2 },
    { at: 2, bytes: 1 },
    { at: 3, bytes: 1 },
  ]
  if ((flags & FLAG.extra) !== 0) {
    fields.push({ at: 10, bytes: 2 })
    const extra = random.below(40)
    parts.push(Buffer.from([extra, 0]), random.bytes(extra))
  }
  if ((flags & FLAG.name) !== 0) parts.push(Buffer.from('disk.qcow2\0'))
  if ((flags & FLAG.comment) !== 0) parts.push(Buffer.from('made for a test\0'))
  if ((flags & FLAG.headerCrc) !== 0) {
    const sum = crc32(Buffer.concat(parts)) & 0xffff
    parts.push(Buffer.from([sum & 0xff, sum >>> 8]))
  }
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(content), 0)
  trailer.writeUInt32LE(content.length, 4)
  const bytes = Buffer.concat([...parts, stream, trailer])
  fields.push({ at: bytes.length - 8, bytes: 4 }, { at: bytes.length - 4, bytes: 4 })
  return { bytes, fields }
}

export function makeGzip(random: Random): Buffer {
  const members = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => member(random))
  const fields: Field[] = []
  let length = 0
  for (const { bytes, fields: own } of members) {
    fields.push(...own.map((field) => ({ ...field, at: field.at + length })))
    length += bytes.length
  }
  return mutated(Buffer.concat(members.map(({ bytes }) => bytes)), random, [
    (file) => {
      bendField(file, random.pick(fields), fields, 'little', random)
      return file
    },
    (file) => damage(file, random),
  ])
}
