import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { deflateRawSync as zlibDeflate, zstdCompressSync } from 'node:zlib'
import { ImagingError } from '../error.ts'
import { readQcow2Map } from './qcow2-map.ts'
import { openQcow2View } from './qcow2-view.ts'
import {
  AT,
  CLUSTER,
  COMPRESSED,
  compressedEntry,
  compressedImage,
  COPIED,
  deflated,
  drive,
  plainImage,
  planned,
  setL2,
  sourceOf,
  unplanned,
} from './test-images.ts'

const DISK = 1 << 30
type Row = [name: string, image: Buffer, code: ImagingError['code'], cause: RegExp]

const patched = (patch: (image: Buffer) => void): Buffer => {
  const image = plainImage()
  patch(image)
  return image
}
const u32 = (at: number, value: number) => patched((image) => image.writeUInt32BE(value >>> 0, at))
const u64 = (at: number, value: bigint) => patched((image) => image.writeBigUInt64BE(value, at))
const bit = (number: number) => u64(72, 1n << BigInt(number))
const l1 = (entry: bigint) => u64(AT.l1, entry)
const l2 = (entry: bigint) => u64(AT.l2, entry)
const extension = (type: number, length: number) =>
  patched((image) => {
    image.writeUInt32BE(type, 104)
    image.writeUInt32BE(length >>> 0, 108)
  })
const compressionType = (type: number, incompatible: bigint) =>
  patched((image) => {
    image.writeUInt32BE(112, 100)
    image.writeUInt8(type, 104)
    image.writeBigUInt64BE(incompatible, 72)
  })

/** 16 KiB clusters, extended L2: entry 0 with the given bitmap. */
function extended(bitmap: bigint, offset = 5n * 16384n): Buffer {
  const size = 16384
  const image = Buffer.alloc(6 * size, 0x5a)
  image.fill(0, 0, 5 * size)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(14, 20)
  image.writeBigUInt64BE(BigInt(3 * size), 40)
  image.writeBigUInt64BE(BigInt(size), 48)
  image.writeBigUInt64BE(16n, 72)
  image.writeBigUInt64BE(BigInt(4 * size), 3 * size)
  image.writeBigUInt64BE(offset, 4 * size)
  image.writeBigUInt64BE(bitmap, 4 * size + 8)
  return image
}

/** One L2 table of 8,192 entries of 64 KiB clusters, used by 1,024 L1 entries: 512 GiB out of 589 KB. */
function bomb(): Buffer {
  const size = 65536
  const image = Buffer.alloc(9 * size, 1)
  image.fill(0, 0, 4 * size)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(16, 20)
  image.writeBigUInt64BE(1n << 39n, 24)
  image.writeUInt32BE(1024, 36)
  image.writeBigUInt64BE(BigInt(2 * size), 40)
  image.writeBigUInt64BE(BigInt(size), 48)
  for (let i = 0; i < 1024; i++) image.writeBigUInt64BE(BigInt(3 * size), 2 * size + 8 * i)
  for (let i = 0; i < 8192; i++) image.writeBigUInt64BE(BigInt((4 + (i % 5)) * size), 3 * size + 8 * i)
  return image
}

/** 512-byte clusters: one L2 table of 64 compressed entries, used by 60,000 L1 entries, in 482 KB. */
function compressedBomb(): Buffer {
  const image = Buffer.alloc(4 * 512 + 60_000 * 8 + 512)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(9, 20)
  image.writeBigUInt64BE(60_000n * 64n * 512n, 24)
  image.writeUInt32BE(60_000, 36)
  image.writeBigUInt64BE(2048n, 40)
  image.writeBigUInt64BE(512n, 48)
  image.set(deflated(512), 1536)
  for (let i = 0; i < 60_000; i++) image.writeBigUInt64BE(1024n, 2048 + 8 * i)
  for (let i = 0; i < 64; i++) image.writeBigUInt64BE(compressedEntry(1536, 0), 1024 + 8 * i)
  return image
}

const BEFORE_DATA: Row[] = [
  ['bad magic', u32(0, 0x514649fa), 'FORMAT', /magic/],
  ...[0, 1, 4, 2 ** 32 - 1].map((v): Row => [`version ${v}`, u32(4, v), 'FORMAT', /version/]),
  ...[0, 8, 22, 31, 63, 2 ** 32 - 1].map(
    (v): Row => [`cluster_bits ${v}`, u32(20, v), 'FORMAT', /cluster size/],
  ),
  ['a backing file', u64(8, 112n), 'FORMAT', /backing files are not allowed/],
  ['a backing file far away', u64(8, 2n ** 64n - 1n), 'FORMAT', /backing files are not allowed/],
  [
    'a backing file name of 2^32-1 bytes',
    patched((i) => (i.writeUInt32BE(8, 12), i.writeUInt32BE(2 ** 32 - 1, 16))),
    'FORMAT',
    /backing/,
  ],
  ['the data file bit', bit(2), 'FORMAT', /external data file/],
  ['a data file name without the bit', extension(0x44415441, 11), 'FORMAT', /external data file/],
  ['the corrupt bit', bit(1), 'FORMAT', /corrupt/],
  ...[5, 7, 8, 31, 63].map(
    (v): Row => [`incompatible bit ${v}`, bit(v), 'FORMAT', new RegExp(`bit ${v}\\b`)],
  ),
  ['AES', u32(32, 1), 'FORMAT', /encrypted \(AES\)/],
  ['LUKS', u32(32, 2), 'FORMAT', /encrypted \(LUKS\)/],
  ...[3, 2 ** 32 - 1].map((v): Row => [`crypt_method ${v}`, u32(32, v), 'FORMAT', /encrypted/]),
  ['an encryption header', extension(0x0537be77, 16), 'FORMAT', /encryption/],
  ...[0, 2 ** 31 - 1, 2 ** 32 - 1].map((v): Row => [`L1 size ${v}`, u32(36, v), 'FORMAT', /L1 table/]),
  ...[0n, 12289n, 1n << 40n, 1n << 53n, 2n ** 64n - 4096n].map(
    (v): Row => [`L1 offset ${v}`, u64(40, v), 'FORMAT', /L1 table/],
  ),
  ['an L1 table over the refcount table', u64(40, BigInt(CLUSTER)), 'FORMAT', /overlap/],
  ['virtual size 0', u64(24, 0n), 'FORMAT', /virtual size/],
  ...[1n << 46n, 2n ** 53n + 1n, 1n << 63n, 2n ** 64n - 1n, BigInt(DISK) + 512n].map(
    (v): Row => [`virtual size ${v}`, u64(24, v), 'DISK', new RegExp(`${v} bytes`)],
  ),
  ...[0, 103, 108, 2 ** 32 - 8, 2 ** 32 - 1].map(
    (v): Row => [`header_length ${v}`, u32(100, v), 'FORMAT', /header length/],
  ),
  ['a header extension of 2^31-1 bytes', extension(0x1234, 2 ** 31 - 1), 'FORMAT', /extension/],
  ['a header extension of 2^32-1 bytes', extension(0x1234, 2 ** 32 - 1), 'FORMAT', /extension/],
  ['refcount order 7', u32(96, 7), 'FORMAT', /refcount order/],
  ...[0, 2049, 2 ** 32 - 1].map(
    (v): Row => [`a refcount table of ${v} clusters`, u32(56, v), 'FORMAT', /refcount table/],
  ),
  ...[0n, 4097n, 1n << 60n].map(
    (v): Row => [`refcount table offset ${v}`, u64(48, v), 'FORMAT', /refcount table/],
  ),
  ['2^32-1 snapshots', u32(60, 2 ** 32 - 1), 'FORMAT', /snapshots/],
  [
    'a snapshot table off its cluster',
    patched((i) => (i.writeUInt32BE(1, 60), i.writeBigUInt64BE(77n, 64))),
    'FORMAT',
    /snapshot table/,
  ],
  ['compression type 2', compressionType(2, 8n), 'FORMAT', /compression type 2/],
  ['compression type 1 without its bit', compressionType(1, 0n), 'FORMAT', /contradict/],
  ['the compression bit without a type', compressionType(0, 8n), 'FORMAT', /contradict/],
  ['the compression bit, type not present', bit(3), 'FORMAT', /contradict/],
  ['extended L2 in clusters of 4 KiB', bit(4), 'FORMAT', /Extended L2/],
  ['an L1 entry behind the end', l1(1n << 40n), 'FORMAT', /L1 entry 0/],
  ['an L1 entry above 2^53', l1(1n << 55n), 'FORMAT', /L1 entry 0/],
  ['an L1 entry off its cluster', l1(BigInt(AT.l2) + 512n), 'FORMAT', /L1 entry 0/],
  ['an L1 entry to the L1 table', l1(BigInt(AT.l1)), 'FORMAT', /L1 entry 0/],
  ['an L1 entry to the refcount table', l1(BigInt(AT.refcountTable)), 'FORMAT', /L1 entry 0/],
  ['an L1 entry in use without an offset', l1(COPIED), 'FORMAT', /L1 entry 0/],
  ...[0n, 8n, 56n, 62n].map(
    (v): Row => [`bit ${v} in an L1 entry`, l1(BigInt(AT.l2) | (1n << v)), 'FORMAT', /reserved/],
  ),
  ['an L2 entry behind the end', l2(1n << 40n), 'FORMAT', /behind its end/],
  ['an L2 entry above 2^53', l2(1n << 55n), 'FORMAT', /behind its end/],
  ['an L2 entry off its cluster', l2(BigInt(AT.data) + 512n), 'FORMAT', /L2 entry 0/],
  ...(['refcountTable', 'l1', 'l2'] as const).map(
    (v): Row => [`an L2 entry to ${v}`, l2(BigInt(AT[v])), 'FORMAT', /a table/],
  ),
  ['an L2 entry in use without an offset', l2(COPIED), 'FORMAT', /no offset/],
  ['a cluster of zeros behind the end', l2((1n << 40n) | 1n), 'FORMAT', /behind its end/],
  ['a cluster of zeros off its cluster', l2(BigInt(AT.data) + 513n), 'FORMAT', /L2 entry 0/],
  [
    'a refcount table that goes on behind the end',
    u32(56, 8),
    'FORMAT',
    /refcount table|behind its end|overlap/,
  ],
  ...[1n, 8n, 56n, 61n].map(
    (v): Row => [`bit ${v} in an L2 entry`, l2(BigInt(AT.data) | (1n << v)), 'FORMAT', /reserved/],
  ),
  [
    'the zero flag in version 2',
    patched((i) => (i.writeUInt32BE(2, 4), setL2(i, 0, 1n))),
    'FORMAT',
    /zero flag/,
  ],
  ['a compressed cluster behind the end', l2(compressedEntry(1 << 30, 0)), 'FORMAT', /behind its end/],
  [
    'a compressed cluster that ends behind the end',
    l2(compressedEntry(8 * CLUSTER - 512, 1)),
    'FORMAT',
    /behind its end/,
  ],
  ['a compressed cluster in the header', l2(compressedEntry(200, 0)), 'FORMAT', /header/],
  ['a compressed cluster in the L2 table', l2(compressedEntry(AT.l2 + 8, 0)), 'FORMAT', /table/],
  ['bit 57 in a compressed offset', l2(COMPRESSED | (1n << 57n) | BigInt(AT.data)), 'FORMAT', /reserved/],
  [
    'a subcluster both zero and allocated',
    extended(0x0000_0001_0000_0001n),
    'FORMAT',
    /both zero and allocated/,
  ],
  ['the last subcluster both', extended(0x8000_0000_8000_0000n), 'FORMAT', /both zero and allocated/],
  ['subclusters without an offset', extended(1n, 0n), 'FORMAT', /no offset/],
  ['the zero flag with extended L2', extended(1n, 5n * 16384n + 1n), 'FORMAT', /reserved/],
  ['512 GiB in 589 KB, larger than the disk', bomb(), 'DISK', /virtual size/],
  ...[0, 3, 4, 23, 71, 103, 104, CLUSTER, AT.l1, AT.l1 + 7, AT.l2, AT.l2 + 100, AT.data, 8 * CLUSTER - 1].map(
    (v): Row => [`an image cut at ${v}`, plainImage().subarray(0, v), 'FORMAT', /cut off|behind its end/],
  ),
]

const fails = (code: string, cause: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ImagingError, String(error))
  assert.equal(error.code, code)
  assert.match(error.cause, cause)
  assert.match(error.remedy, /\w+.*\.$/)
  return true
}

describe('a hostile qcow2 image', () => {
  for (const [name, image, code, cause] of BEFORE_DATA) {
    test(`with ${name} is refused by both decoders, and fast`, async () => {
      const start = process.cpuUsage()
      await assert.rejects(planned(image, DISK), fails(code, cause))
      assert.throws(() => drive(unplanned(image, { diskSize: DISK }), image, 700), fails(code, cause))
      const { user, system } = process.cpuUsage(start)
      assert.ok(user + system < 2_000_000, 'CPU below 2 s')
    })
  }

  test('that maps 512 GiB by 589 KB is refused on a disk that is large enough, without memory for it', async () => {
    const before = process.memoryUsage().rss
    await assert.rejects(planned(bomb(), 2 ** 40), fails('FORMAT', /again and again/))
    assert.throws(
      () => drive(Object.assign(unplanned(bomb()), { virtualSize: 0 }), bomb(), 65536),
      fails('FORMAT', /again and again/),
    )
    assert.ok(process.memoryUsage().rss - before < 64 << 20)
  })

  test('that maps one compressed cluster 3.8 million times is refused at once', async () => {
    const image = compressedBomb()
    const start = process.cpuUsage()
    await assert.rejects(planned(image), fails('FORMAT', /again and again/))
    assert.throws(
      () => unplanned(image, { chunked: true }).push(image, 0),
      fails('FORMAT', /again and again/),
    )
    const { user, system } = process.cpuUsage(start)
    assert.ok(user + system < 2_000_000, 'CPU below 2 s')
  })

  const random = randomBytes(CLUSTER)
  const streams: [name: string, image: Buffer, cause: RegExp][] = [
    ['garbage', compressedImage(Buffer.alloc(600, 0xff)), /damaged/],
    ['random bytes', compressedImage(random.fill(0x07, 0, 1)), /damaged|too short/],
    ['a cut stream', compressedImage(deflated(CLUSTER).subarray(0, -4)), /damaged|too short|too long/],
    ['a stream cut by its sector count', compressedImage(incompressible(), 2), /damaged/],
    ['one byte too few', compressedImage(deflated(CLUSTER - 1)), /too short/],
    ['one byte too many', compressedImage(deflated(CLUSTER + 1)), /too long/],
    ['50 times too much', compressedImage(deflated(50 * CLUSTER)), /too long/],
    [
      '1000 times too much',
      compressedImage(deflated(1000 * CLUSTER).subarray(0, CLUSTER)),
      /too long|damaged/,
    ],
  ]
  for (const [name, image, cause] of streams) {
    test(`whose compressed cluster holds ${name} fails as WRITE`, async () => {
      const decoder = await planned(image)
      assert.throws(() => drive(decoder, image, 4096), fails('WRITE', cause))
      assert.throws(() => drive(unplanned(image), image, 4096), fails('WRITE', cause))
      const map = await readQcow2Map(sourceOf(image), { budgetBytes: 1 << 20 })
      assert.ok(map)
      await assert.rejects(openQcow2View(sourceOf(image), map).read(0, 1), fails('WRITE', cause))
    })
  }

  for (const cut of [AT.l1, AT.l2 + 9, AT.data, AT.data + CLUSTER, 8 * CLUSTER - 512]) {
    test(`of unknown length that ends at ${cut} is refused at its end, never filled with zeros`, () => {
      const image = plainImage().subarray(0, cut)
      assert.throws(() => drive(unplanned(image, { chunked: true }), image, 1000), fails('FORMAT', /cut off/))
    })
  }
})

/** Deflate of bytes that hardly compress: longer than three sectors. */
function incompressible(): Buffer {
  return zlibDeflate(
    randomBytes(CLUSTER).map((byte) => byte & 0x3f),
    { windowBits: 12 },
  )
}

const expected = (clusters: (number | null)[]) => {
  const disk = Buffer.alloc(65536)
  for (const [guest, data] of clusters.entries())
    if (data !== null) disk.fill(`data cluster ${data} `, guest * CLUSTER, (guest + 1) * CLUSTER)
  return disk
}

describe('any damage to the tables of an image', () => {
  const seeds: [name: string, image: Buffer][] = [
    ['plain', plainImage()],
    ['compressed', compressedImage(deflated(CLUSTER))],
    ['extended', extended(0x0000_0002_0000_0009n)],
  ]
  for (const [name, sound] of seeds) {
    test(`${name}: both decoders refuse it, or both give the same disk`, async () => {
      const outcomes = { refused: 0, decoded: 0 }
      let state = 1
      const random = (below: number) => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const l2Begin = name === 'extended' ? 4 * 16384 : AT.l2
      const places = [112, 112, 112, 8, 48]
      const starts = [0, 0, name === 'extended' ? 3 * 16384 : AT.l1, AT.refcountTable, l2Begin]
      for (let round = 0; round < 1500; round++) {
        const image = Buffer.from(sound)
        for (let change = random(3); change >= 0; change--) {
          const part = random(starts.length)
          const at = (starts[part] as number) + random(places[part] as number)
          image[at] = random(3) === 0 ? random(256) : (image[at] as number) ^ (1 << random(8))
        }
        const results = await Promise.all([
          outcome(async () => drive(await planned(image, DISK), image, 1 << 16)),
          outcome(async () => drive(unplanned(image, { diskSize: DISK }), image, 3000)),
        ])
        assert.deepEqual(results[0], results[1])
        outcomes[results[0] instanceof Buffer ? 'decoded' : 'refused']++
      }
      assert.ok(outcomes.refused > 300 && outcomes.decoded > 100, JSON.stringify(outcomes))
    })
  }
})

/** The disk, up to 1 MiB of it, or the code of the error that ended it. */
async function outcome(decode: () => Promise<Buffer>): Promise<Buffer | string> {
  try {
    return (await decode()).subarray(0, 1 << 20)
  } catch (error) {
    assert.ok(error instanceof ImagingError, String((error as Error).stack))
    return error.code
  }
}

describe('an unusual but sound qcow2 image', () => {
  const usual = [0, 1, null, null, null, 2]
  const same = patched((image) =>
    [0, 1, 5].forEach((guest) => setL2(image, guest, BigInt(AT.data + CLUSTER))),
  )
  const rows: [name: string, image: Buffer, disk: Buffer][] = [
    ['made by hand', plainImage(), expected(usual)],
    ['the dirty bit', bit(0), expected(usual)],
    ['unknown compatible and auto-clear features', patched((i) => i.fill(0xff, 80, 96)), expected(usual)],
    ['unknown header extensions', extension(0x12345678, 40), expected(usual)],
    ['an L1 table longer than needed', u32(36, 400), expected(usual)],
    ['trailing bytes', Buffer.concat([plainImage(), Buffer.alloc(777, 9)]), expected(usual)],
    ['one host cluster for three guest clusters', same, expected([1, 1, null, null, null, 1])],
    [
      'a zero flag over data',
      patched((i) => setL2(i, 1, BigInt(AT.data + CLUSTER) | 1n)),
      expected([0, null, null, null, null, 2]),
    ],
    ['an entry behind the virtual size', patched((i) => setL2(i, 16, 1n << 50n)), expected(usual)],
    [
      'extended L2 with two subclusters',
      extended(0x0000_0002_0000_0009n),
      Buffer.alloc(65536).fill(0x5a, 0, 512).fill(0x5a, 1536, 2048),
    ],
    [
      'a compressed cluster with spare sectors',
      compressedImage(deflated(CLUSTER), 6),
      expected(usual).fill('compress me ', 0, CLUSTER),
    ],
    ['a last sector that was never padded', unpadded(), expected(usual).fill('compress me ', 0, CLUSTER)],
  ]
  for (const [name, image, disk] of rows) {
    test(`${name}: gives the right disk`, async () => {
      for (const pieces of [1, 700, 1 << 20]) {
        assert.ok(drive(await planned(image), image, pieces).equals(disk), `planned, ${pieces}`)
        assert.ok(drive(unplanned(image), image, pieces).equals(disk), `unplanned, ${pieces}`)
        assert.ok(
          drive(unplanned(image, { chunked: true, lookBehind: 0 }), image, pieces).equals(disk),
          `chunked, ${pieces}`,
        )
      }
    })
  }

  test('a size of odd bytes is rounded up to a sector and noted', async () => {
    const image = u64(24, 65537n)
    const decoder = await planned(image)
    assert.equal(decoder.virtualSize, 65536 + 512)
    assert.match(decoder.notes.join(), /65537 bytes/)
    assert.ok(drive(decoder, image, 4096).subarray(0, 65536).equals(expected(usual)))
  })
})

/** The stream of the compressed cluster stands at the end of the file, which ends with it. */
function unpadded(): Buffer {
  const image = plainImage()
  setL2(image, 0, compressedEntry(image.length, 0))
  return Buffer.concat([image, deflated(CLUSTER)])
}

/** Copies the tables to the end of the file, behind 2 MiB of filling. */
function late(kinds: { l1: boolean; l2: boolean }): Buffer {
  const image = Buffer.concat([plainImage(), randomBytes(512 * CLUSTER), Buffer.alloc(2 * CLUSTER)])
  const end = image.length - 2 * CLUSTER
  if (kinds.l2) {
    image.copy(image, end, AT.l2, AT.l2 + CLUSTER)
    image.writeBigUInt64BE(BigInt(end), AT.l1)
  }
  if (kinds.l1) {
    image.copy(image, end + CLUSTER, AT.l1, AT.l1 + CLUSTER)
    image.writeBigUInt64BE(BigInt(end + CLUSTER), 40)
  }
  return image
}

describe('tables that come after the data', () => {
  const disk = drive(unplanned(plainImage()), plainImage(), 4096)

  for (const kinds of [
    { l1: true, l2: false },
    { l1: false, l2: true },
    { l1: true, l2: true },
  ]) {
    const name = Object.entries(kinds)
      .filter(([, is]) => is)
      .map(([kind]) => kind.toUpperCase())
      .join(' and ')
    test(`${name}: the data is held in RAM and comes right; with too little RAM it ends as RAM`, async () => {
      const image = late(kinds)
      assert.ok(drive(await planned(image), image, 65536).equals(disk))
      let held = 0
      const decoder = unplanned(image, { lookBehind: 0 })
      const counted = Object.assign(Object.create(decoder), {
        virtualSize: decoder.virtualSize,
        push: (bytes: Uint8Array, offset: number) => {
          const work = decoder.push(bytes, offset)
          held += work.held.length
          return work
        },
        finish: (total: number) => decoder.finish(total),
      })
      Object.defineProperty(counted, 'needsFrom', { get: () => decoder.needsFrom })
      assert.ok(drive(counted, image, 65536).equals(disk))
      assert.ok(held > 0, 'something was held')
      const small = { spoolBytes: 512 << 10, lookBehind: 0 }
      assert.throws(
        () => drive(unplanned(image, small), image, 65536),
        fails('RAM', /tables of the image come after/),
      )
      const window = { spoolBytes: 0, lookBehind: 4 << 20 }
      assert.ok(
        drive(unplanned(image, window), image, 65536).equals(disk),
        'what the caller holds needs no RAM',
      )
    })
  }

  test('a cluster of two tables, of which one comes after it has been let go, ends as RAM', () => {
    const image = Buffer.concat([plainImage(), randomBytes(512 * CLUSTER), Buffer.alloc(CLUSTER)])
    image.writeBigUInt64BE(2n * 512n * BigInt(CLUSTER), 24)
    image.writeUInt32BE(2, 36)
    image.writeBigUInt64BE(BigInt(image.length - CLUSTER), AT.l1 + 8)
    image.writeBigUInt64BE(BigInt(AT.data), image.length - CLUSTER)
    assert.throws(() => drive(unplanned(image, { lookBehind: 0 }), image, 65536), fails('RAM', /went past/))
    assert.equal(
      drive(unplanned(image), image, 65536)
        .toString('latin1', 512 * CLUSTER)
        .indexOf('data cluster 0'),
      0,
    )
  })
})

describe('a file that changes between the reading of its tables and the stream', () => {
  const rows: [name: string, change: (image: Buffer) => Buffer][] = [
    ['another L2 entry', (image) => (setL2(image, 3, BigInt(AT.data)), image)],
    ['another L1 entry', (image) => (image.writeBigUInt64BE(BigInt(AT.l2), AT.l1), image)],
    ['another header', (image) => (image.writeUInt32BE(5, 60), image)],
    ['a shorter file', (image) => image.subarray(0, -512)],
    ['a longer file', (image) => Buffer.concat([image, Buffer.alloc(1)])],
  ]
  for (const [name, change] of rows) {
    test(`${name}: ends as DOWNLOAD, to start again`, async () => {
      const decoder = await planned(plainImage())
      const image = change(plainImage())
      assert.throws(
        () => drive(decoder, image, 5000),
        (error: unknown) => fails('DOWNLOAD', /changed/)(error) && (error as ImagingError).startAgain,
      )
    })
  }

  test('a map that does not fit its budget is not made', async () => {
    assert.equal(await readQcow2Map(sourceOf(plainImage()), { budgetBytes: 500 }), null)
  })
})

test('zstd streams are decoded with what follows them, and refused when cut, long, short or with a huge window', async () => {
  const { decodeCluster } = await import('./inflate.ts')
  const data = Buffer.alloc(CLUSTER, 'some text ')
  const frame = zstdCompressSync(data)
  const into = Buffer.alloc(CLUSTER)
  for (const tail of [0, 1, 511]) {
    decodeCluster('zstd', Buffer.concat([frame, randomBytes(tail)]), into.fill(0))
    assert.ok(into.equals(data))
  }
  const huge = Buffer.from('28b52ffd00ff0100004141', 'hex')
  for (const bad of [
    frame.subarray(0, -1),
    zstdCompressSync(Buffer.alloc(CLUSTER + 1)),
    zstdCompressSync(Buffer.alloc(9)),
    huge,
    Buffer.alloc(40),
  ]) {
    assert.throws(() => decodeCluster('zstd', bad, into), fails('WRITE', /compressed cluster/))
  }
})
