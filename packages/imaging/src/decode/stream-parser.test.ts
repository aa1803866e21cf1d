import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { zstdCompressSync, deflateRawSync, deflateSync } from 'node:zlib'
import { ImagingError } from '../error.ts'
import { decodeCluster } from './inflate.ts'
import { bytesAt, past, type Story, StreamParser } from './stream-parser.ts'
import { zstdFrameLength } from './zstd-frame.ts'

const FILE = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz')

/** What a story was given while the file came in pieces. */
function told(pieces: number): { heard: string[]; passed: string; ended: boolean; position: number } {
  const heard: string[] = []
  let passed = ''
  function* story(): Story {
    heard.push(Buffer.from(yield bytesAt(2, 3)).toString())
    heard.push(Buffer.from(yield bytesAt(5, 0)).toString())
    yield past(8, (bytes, offset) => {
      assert.equal(Buffer.from(bytes).toString(), FILE.toString('latin1', offset, offset + bytes.length))
      passed += Buffer.from(bytes).toString()
    })
    yield past(8)
    yield past(4)
    heard.push(Buffer.from(yield bytesAt(8, 1)).toString())
    heard.push(Buffer.from(yield bytesAt(20, 10)).toString())
  }
  const parser = new StreamParser(story())
  for (let at = 0; at < FILE.length; at += pieces) {
    assert.equal(parser.ended, at >= 30 && heard.length === 4)
    parser.push(FILE.subarray(at, at + pieces), at)
  }
  return { heard, passed, ended: parser.ended, position: parser.position }
}

describe('a story that is told from a stream', () => {
  for (const pieces of [1, 2, 3, 5, 7, 36, 100])
    test(`hears the same in pieces of ${pieces}`, () => {
      assert.deepEqual(told(pieces), {
        heard: ['234', '', '8', 'klmnopqrst'],
        passed: '567',
        ended: true,
        position: 36,
      })
    })

  test('may want nothing at all', () => {
    const parser = new StreamParser(
      (function* (): Story {
        yield* []
      })(),
    )
    assert.ok(parser.ended)
    parser.push(FILE, 0)
    assert.equal(parser.position, FILE.length)
  })

  test('wants bytes in order, and is told of a gap and of a wish for what has gone by', () => {
    const parser = new StreamParser(
      (function* (): Story {
        yield bytesAt(4, 1)
        yield bytesAt(4, 1)
      })(),
    )
    parser.push(FILE.subarray(0, 3), 0)
    assert.throws(() => parser.push(FILE.subarray(2), 2), RangeError)
    assert.throws(() => parser.push(FILE.subarray(4), 4), RangeError)
    assert.throws(() => parser.push(FILE.subarray(3), 3), /bytes at 4 have gone by/)
  })

  test('holds back from passing what it asked for', () => {
    const parser = new StreamParser(
      (function* (): Story {
        yield bytesAt(10, 10)
        yield past(30)
      })(),
    )
    parser.push(FILE.subarray(0, 15), 0)
    assert.equal(parser.position, 15)
    parser.push(FILE.subarray(15, 32), 15)
    assert.deepEqual([parser.position, parser.ended], [32, true])
  })

  test('keeps its own copy of what came in pieces', () => {
    let heard = ''
    const parser = new StreamParser(
      (function* (): Story {
        heard = Buffer.from(yield bytesAt(0, 6)).toString()
      })(),
    )
    const memory = Buffer.from('abc')
    parser.push(memory, 0)
    memory.write('def')
    parser.push(memory, 3)
    assert.equal(heard, 'abcdef')
  })
})

describe('the length of a zstd frame', () => {
  const data = Buffer.from('some text, some text, some text '.repeat(40))

  for (const [name, frame] of [
    ['a small frame', zstdCompressSync(Buffer.from('x'))],
    ['text', zstdCompressSync(data)],
    ['300 bytes, a length of 2 bytes', zstdCompressSync(data.subarray(0, 300))],
    ['70 KiB, a length of 4 bytes', zstdCompressSync(Buffer.alloc(70_000, 'abc'))],
    [
      'several blocks',
      zstdCompressSync(Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7))),
    ],
    ['nothing', zstdCompressSync(Buffer.alloc(0))],
  ] as const)
    test(`of ${name} is found whatever follows it, and not where it is cut`, () => {
      assert.equal(zstdFrameLength(frame), frame.length)
      assert.equal(zstdFrameLength(Buffer.concat([frame, Buffer.from('more')])), frame.length)
      for (const length of [0, 3, 5, 6, 8, frame.length - 1])
        if (length < frame.length) assert.equal(zstdFrameLength(frame.subarray(0, length)), undefined)
      assert.equal(zstdFrameLength(Buffer.concat([Buffer.alloc(3), frame]).subarray(3)), frame.length)
    })

  /** Magic, descriptor, then `rest`. */
  const made = (descriptor: number, rest: number[]) =>
    Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...rest])
  const block = (last: number, type: number, size: number) => {
    const header = last | (type << 1) | (size << 3)
    return [header & 0xff, (header >> 8) & 0xff, header >> 16]
  }
  const rows: [name: string, bytes: Uint8Array, length: number | undefined][] = [
    ['no window, 1 byte of length', made(0x20, [9, ...block(1, 0, 0)]), 9],
    ['a window and no length', made(0, [9, ...block(1, 0, 0)]), 9],
    ['a dictionary of 1 byte', made(1, [9, 9, ...block(1, 0, 0)]), 10],
    ['a dictionary of 2 bytes', made(2, [9, 9, 9, ...block(1, 0, 0)]), 11],
    ['a dictionary of 4 bytes', made(3, [9, 9, 9, 9, 9, ...block(1, 0, 0)]), 13],
    ['2 bytes of length', made(0x40, [9, 9, 9, ...block(1, 0, 0)]), 11],
    ['4 bytes of length', made(0x80, [9, 9, 9, 9, 9, ...block(1, 0, 0)]), 13],
    ['8 bytes of length', made(0xc0, [9, 9, 9, 9, 9, 9, 9, 9, 9, ...block(1, 0, 0)]), 17],
    ['a checksum', made(0x24, [9, ...block(1, 0, 0), 1, 2, 3, 4]), 13],
    ['half a checksum', made(0x24, [9, ...block(1, 0, 0), 1, 2, 3]), undefined],
    ['a raw block', made(0x20, [9, ...block(1, 0, 2), 7, 7]), 11],
    ['a cut raw block', made(0x20, [9, ...block(1, 0, 2), 7]), undefined],
    ['a repeated byte', made(0x20, [9, ...block(1, 1, 100), 7]), 10],
    ['two blocks', made(0x20, [9, ...block(0, 1, 100), 7, ...block(1, 0, 1), 7]), 14],
    ['a missing last block', made(0x20, [9, ...block(0, 0, 0)]), undefined],
    ['a reserved block', made(0x20, [9, ...block(1, 3, 0)]), undefined],
    ['a repeated byte of 128 KiB', made(0x20, [9, ...block(1, 1, 128 * 1024), 7]), 10],
    ['a block of more than 128 KiB', made(0x20, [9, ...block(1, 1, 128 * 1024 + 1), 7]), undefined],
    ['another magic', Uint8Array.from([0x29, 0xb5, 0x2f, 0xfd, 0x20, 9, ...block(1, 0, 0)]), undefined],
  ]
  for (const [name, bytes, length] of rows)
    test(`with ${name} is ${length}`, () => assert.equal(zstdFrameLength(bytes), length))
})

describe('a compressed cluster', () => {
  const SIZE = 4096
  const content = Buffer.alloc(SIZE, 'cluster content ')
  const codecs = [
    ['deflate', deflateRawSync],
    ['zlib', deflateSync],
    ['zstd', zstdCompressSync],
  ] as const
  const broken = (how: string) => (error: unknown) =>
    error instanceof ImagingError &&
    error.code === 'WRITE' &&
    error.cause === `A compressed cluster of the image ${how}.`

  for (const [codec, compress] of codecs) {
    test(`of ${codec} is decoded, whole or its beginning, and what follows is ignored`, () => {
      const stream = Buffer.concat([compress(content), Buffer.alloc(300, 0xff)])
      for (const room of [SIZE, 512]) {
        const into = new Uint8Array(room)
        decodeCluster(codec, stream, into, SIZE)
        assert.ok(content.subarray(0, room).equals(into))
      }
      const into = new Uint8Array(SIZE)
      decodeCluster(codec, stream, into)
      assert.ok(content.equals(into))
    })

    test(`of ${codec} is refused when it is a byte too long, too short or damaged`, () => {
      const into = new Uint8Array(SIZE)
      const decode = (bytes: Uint8Array) => decodeCluster(codec, bytes, into)
      assert.throws(() => decode(compress(Buffer.alloc(SIZE + 1))), broken('is too long'))
      assert.throws(() => decode(compress(Buffer.alloc(SIZE - 1))), broken('is too short'))
      assert.throws(() => decode(Buffer.alloc(64, 0xff)), broken('is damaged'))
      assert.throws(() => decode(compress(content).subarray(0, 8)), broken('is damaged'))
    })
  }

  test('of zlib may be as short as there is room, and of the others not', () => {
    const into = new Uint8Array(512)
    decodeCluster('zlib', deflateSync(content.subarray(0, 512)), into, SIZE)
    assert.ok(content.subarray(0, 512).equals(into))
    assert.throws(
      () => decodeCluster('zlib', deflateSync(content.subarray(0, 511)), into, SIZE),
      broken('is too short'),
    )
    assert.throws(
      () => decodeCluster('zlib', deflateSync(content.subarray(0, 513)), into, SIZE),
      broken('is too short'),
    )
    for (const [codec, compress] of [codecs[0], codecs[2]])
      assert.throws(
        () => decodeCluster(codec, compress(content.subarray(0, 512)), into, SIZE),
        broken('is too short'),
      )
  })

  test('of 2 MiB and one of a sector are decoded', () => {
    for (const size of [512, 2 << 20]) {
      const into = new Uint8Array(size)
      decodeCluster('deflate', deflateRawSync(Buffer.alloc(size, 'ab')), into)
      assert.ok(Buffer.alloc(size, 'ab').equals(into))
    }
  })
})
