import { crc32 } from 'node:zlib'
import { damage, mutated } from './mutate.ts'
import type { Random } from './random.ts'

/** What xz -0 makes of 456 bytes of text: LZMA2 chunks and the byte that ends them. */
const LZMA2 = Buffer.from(
  '4AHHAD1dADGbyhna7aTyu3xADAKgRGJ68+zXRMeGBygdTiXYbAM3dx5nCrqeVa3cZmPvd1LsRvbeYUMWUtX9qmWcvAAA',
  'base64',
)
const LZMA2_CONTENT = 456

/** What the CRCs are made over, so that they can be made right after a change. */
interface Stream {
  flags: number[]
  blocks: { header: Buffer; data: Buffer; check: Buffer; unpacked: number }[]
  index: Buffer | null
  footer: { backwardSize: number | null; flags: number[] | null }
}

const multibyte = (value: number): Buffer => {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    bytes.push((left % 128) | (left >= 128 ? 0x80 : 0))
    if (left < 128) return Buffer.from(bytes)
  }
}
const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
const crcOf = (bytes: Buffer): Buffer => {
  const sum = Buffer.alloc(4)
  sum.writeUInt32LE(crc32(bytes))
  return sum
}

/** Chunks that are not compressed: control byte, size less one, content. */
function plainChunks(random: Random): { data: Buffer; content: Buffer } {
  const contents = Array.from({ length: random.between(0, 3) }, () => random.bytes(random.between(1, 60)))
  const chunks = contents.map((content, at) =>
    Buffer.concat([Buffer.from([at === 0 ? 1 : 2, 0, content.length - 1]), content]),
  )
  return { data: Buffer.concat([...chunks, Buffer.alloc(1)]), content: Buffer.concat(contents) }
}

function block(kind: number, random: Random): Stream['blocks'][number] {
  const plain = plainChunks(random)
  const isPlain = kind === 1 || random.chance(0.4)
  const { data, length } = isPlain
    ? { data: plain.data, length: plain.content.length }
    : { data: Buffer.from(LZMA2), length: LZMA2_CONTENT }
  const sizes = random.pick([0, 0, 0x40, 0x80, 0xc0])
  const inside = Buffer.concat([
    Buffer.from([0, sizes]),
    ...((sizes & 0x40) === 0 ? [] : [multibyte(data.length)]),
    ...((sizes & 0x80) === 0 ? [] : [multibyte(length)]),
    Buffer.from([0x21, 1, random.chance(0.95) ? random.below(19) : random.below(42)]),
  ])
  const header = padded(inside)
  header[0] = header.length / 4 // with the CRC, less one
  const check = kind === 1 ? crcOf(plain.content) : Buffer.alloc(0)
  return { header, data, check, unpacked: length }
}

/** Changes of one value each; CRCs are made after them. */
function bend(stream: Stream, random: Random): void {
  const chosen = stream.blocks.length > 0 ? random.pick(stream.blocks) : null
  const poke = (bytes: Buffer) => {
    if (bytes.length > 0)
      bytes[random.below(bytes.length)] = random.pick([0, 1, 2, 0x21, 0x7f, 0x80, 0xff, random.below(256)])
  }
  random.pick([
    () => poke(chosen?.header ?? Buffer.alloc(0)),
    () => poke(chosen?.header ?? Buffer.alloc(0)),
    () => poke(chosen?.data ?? Buffer.alloc(0)),
    () => poke((chosen?.data ?? Buffer.alloc(0)).subarray(0, 6)),
    () => poke(chosen?.check ?? Buffer.alloc(0)),
    () => void (stream.flags = [random.below(2), random.below(16)]),
    () => void (stream.index = Buffer.concat([Buffer.alloc(1), random.bytes(random.below(12))])),
    () => void (stream.footer.backwardSize = random.below(8)),
    () => void (stream.footer.flags = [0, random.below(16)]),
    () => void stream.blocks.push(...(chosen === null ? [] : [chosen])),
  ])()
}

function encode(stream: Stream): Buffer {
  const flags = Buffer.from(stream.flags)
  const blocks = stream.blocks.map(({ header, data, check }) =>
    Buffer.concat([header, crcOf(header), padded(data), check]),
  )
  const records = stream.blocks.flatMap(({ header, data, check, unpacked }) => [
    multibyte(header.length + 4 + data.length + check.length),
    multibyte(unpacked),
  ])
  const index = padded(stream.index ?? Buffer.concat([Buffer.alloc(1), multibyte(blocks.length), ...records]))
  const tail = Buffer.alloc(6)
  tail.writeUInt32LE(stream.footer.backwardSize ?? index.length / 4, 0)
  tail.set(stream.footer.flags ?? flags, 4)
  const magic = Buffer.from('\xfd7zXZ\0', 'latin1')
  return Buffer.concat([
    magic,
    flags,
    crcOf(flags),
    ...blocks,
    index,
    crcOf(index),
    crcOf(tail),
    tail,
    Buffer.from('YZ'),
  ])
}

/** One to three streams (xz file format 1.1.0) with padding between. */
export function makeXz(random: Random): Buffer {
  const streams = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => {
    const kind = random.below(2)
    const blocks = Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => block(kind, random))
    const stream: Stream = {
      flags: [0, kind],
      blocks,
      index: null,
      footer: { backwardSize: null, flags: null },
    }
    if (random.chance(0.4)) bend(stream, random)
    const padding = random.chance(0.9) ? 4 * random.pick([0, 0, 1, 2]) : random.below(9)
    return Buffer.concat([encode(stream), Buffer.alloc(padding)])
  })
  const file = Buffer.concat(streams)
  return random.chance(0.6) ? file : mutated(file, random, [(bytes) => damage(bytes, random)], 2)
}
