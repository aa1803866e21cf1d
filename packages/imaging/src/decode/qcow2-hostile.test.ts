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
  compressedEntry,
  compressedImage,
  deflated,
  drive,
  extendedImage,
  plainImage,
  planned,
  setL2,
  sourceOf,
  unplanned,
} from './test-images.ts'
import {
  bit,
  bomb,
  compressedBomb,
  extension,
  patched,
  qcow2Refusals,
  REFUSING_DISK,
} from './test-qcow2-refusals.ts'

const fails = (code: string, cause: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ImagingError, String(error))
  assert.equal(error.code, code)
  assert.match(error.cause, cause)
  assert.match(error.remedy, /\w+.*\.$/)
  return true
}

describe('a hostile qcow2 image', () => {
  for (const { row, what, image: make, code, says } of qcow2Refusals) {
    test(`${row} ${what}: is refused by both decoders, and fast`, async () => {
      const image = make()
      const start = process.cpuUsage()
      await assert.rejects(planned(image, REFUSING_DISK), fails(code, says))
      assert.throws(() => drive(unplanned(image, { diskSize: REFUSING_DISK }), image, 700), fails(code, says))
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
    ['extended', extendedImage(0x0000_0002_0000_0009n)],
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
          outcome(async () => drive(await planned(image, REFUSING_DISK), image, 1 << 16)),
          outcome(async () => drive(unplanned(image, { diskSize: REFUSING_DISK }), image, 3000)),
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
    ['the dirty bit', bit(0)(), expected(usual)],
    ['unknown compatible and auto-clear features', patched((i) => i.fill(0xff, 80, 96)), expected(usual)],
    ['unknown header extensions', extension(0x12345678, 40), expected(usual)],
    ['an L1 table longer than needed', patched((i) => i.writeUInt32BE(400, 36)), expected(usual)],
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
      extendedImage(0x0000_0002_0000_0009n),
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
    const image = patched((i) => i.writeBigUInt64BE(65537n, 24))
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
