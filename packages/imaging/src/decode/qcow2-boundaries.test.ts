import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { headerBytes, readQcow2Header } from './qcow2-header.ts'
import { readQcow2Map } from './qcow2-map.ts'
import { lowerBound, readRefcountTable } from './qcow2-tables.ts'
import { openQcow2View } from './qcow2-view.ts'
import {
  AT,
  CLUSTER,
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

const says =
  (cause: RegExp, code = 'FORMAT') =>
  (error: unknown) =>
    error instanceof ImagingError && error.code === code && cause.test(error.cause)

const u32 = (at: number, value: number) => (image: Buffer) => void image.writeUInt32BE(value, at)
const u64 = (at: number, value: bigint) => (image: Buffer) => void image.writeBigUInt64BE(value, at)
type Change = (image: Buffer) => void
const patched = (...changes: Change[]) => {
  const image = plainImage()
  for (const change of changes) change(image)
  return image
}
/** The first cluster, of `bytes` bytes. */
const head = (bytes: number, ...changes: Change[]) =>
  Buffer.concat([patched(...changes).subarray(0, CLUSTER)], bytes)

describe('the header of a qcow2 image', () => {
  const plain = readQcow2Header(head(CLUSTER))

  test('gives everything in bytes', () => {
    assert.deepEqual(plain, {
      version: 3,
      clusterSize: CLUSTER,
      size: 65_536,
      virtualSize: 65_536,
      l1Offset: AT.l1,
      l1Entries: 1,
      refcountTable: { offset: AT.refcountTable, length: CLUSTER },
      codec: 'deflate',
      extendedL2: false,
      l2Entries: 512,
      l2Span: 512 * CLUSTER,
      notes: [],
    })
    const inside = Buffer.concat([Buffer.alloc(5), head(CLUSTER)]).subarray(5)
    assert.deepEqual(readQcow2Header(inside), plain)
  })

  /** Tables that begin at cluster 1 and 3 whatever a cluster has. */
  const clusters =
    (bits: number): Change =>
    (image) => {
      u32(20, bits)(image)
      u64(48, BigInt(2 ** bits))(image)
      u64(40, BigInt(3 * 2 ** bits))(image)
    }
  const l2Span = 512 * CLUSTER
  const accepted: [what: string, changes: Change[], expected: object, bytes?: number][] = [
    ['one byte', [u64(24, 1n)], { size: 1, virtualSize: 512, notes: 1 }],
    ['a size of 513 bytes', [u64(24, 513n)], { size: 513, virtualSize: 1024, notes: 1 }],
    ['exactly one L2 table', [u64(24, BigInt(l2Span))], { size: l2Span, virtualSize: l2Span, l1Entries: 1 }],
    [
      'one byte more',
      [u64(24, BigInt(l2Span + 1)), u32(36, 2)],
      { size: l2Span + 1, virtualSize: l2Span + 512, l1Entries: 2, notes: 1 },
    ],
    ['a longer L1 table than it needs', [u32(36, 4_194_304)], {}],
    [
      '2^20 L1 entries',
      [u64(24, BigInt(l2Span) << 20n), u32(36, 2 ** 20), u64(48, 1n << 40n)],
      {
        size: l2Span * 2 ** 20,
        virtualSize: l2Span * 2 ** 20,
        l1Entries: 2 ** 20,
        refcountTable: { offset: 2 ** 40, length: CLUSTER },
      },
    ],
    [
      'the largest refcount table',
      [u32(56, 2048), u64(40, 1n << 40n)],
      { refcountTable: { offset: CLUSTER, length: 8 << 20 }, l1Offset: 2 ** 40 },
    ],
    [
      'an L1 table right behind the refcount table',
      [u32(56, 2)],
      { refcountTable: { offset: CLUSTER, length: 2 * CLUSTER } },
    ],
    [
      'an L1 table right before the refcount table',
      [u64(40, 4096n), u64(48, 8192n)],
      { l1Offset: 4096, refcountTable: { offset: 8192, length: CLUSTER } },
    ],
    ['the highest offset', [u64(40, 2n ** 53n - 4096n)], { l1Offset: 2 ** 53 - 4096 }],
    ['refcounts of 64 bits', [u32(96, 6)], {}],
    ['65536 snapshots', [u32(60, 65_536), u64(64, 8192n)], { notes: 1 }],
    ['one snapshot', [u32(60, 1), u64(64, 8192n)], { notes: 1 }],
    ['a mark that it was not closed', [u64(72, 1n)], { notes: 1 }],
    ['a longer header', [u32(100, 112)], {}],
    ['a header that fills its cluster', [u32(100, CLUSTER)], {}],
    ['zstd', [u32(100, 112), u64(72, 8n), (image) => void (image[104] = 1)], { codec: 'zstd' }],
    ['all compatible features', [u64(80, 2n ** 64n - 1n)], {}],
    [
      'clusters of 512 bytes',
      [clusters(9), u64(24, 512n)],
      {
        clusterSize: 512,
        size: 512,
        virtualSize: 512,
        l2Entries: 64,
        l2Span: 32_768,
        l1Offset: 1536,
        refcountTable: { offset: 512, length: 512 },
      },
      512,
    ],
    [
      'clusters of 2 MiB',
      [clusters(21)],
      {
        clusterSize: 2 << 20,
        l2Entries: 262_144,
        l2Span: 2 ** 39,
        l1Offset: 6 << 20,
        refcountTable: { offset: 2 << 20, length: 2 << 20 },
      },
      2 << 20,
    ],
    [
      'extended entries in clusters of 16 KiB',
      [clusters(14), u64(72, 16n)],
      {
        clusterSize: 16_384,
        extendedL2: true,
        l2Entries: 1024,
        l2Span: 1 << 24,
        l1Offset: 49_152,
        refcountTable: { offset: 16_384, length: 16_384 },
      },
      16_384,
    ],
    [
      'version 2, where later fields are not read',
      [u32(4, 2), u64(72, 0n), u64(80, 0n), u64(88, 0n), u64(96, 0n)],
      { version: 2 },
    ],
    ['an unknown extension', [u32(104, 0x1234), u32(108, CLUSTER - 112)], {}],
    [
      'two unknown extensions, the first padded',
      [u32(104, 0x1234), u32(108, 9), u32(128, 0x4321), u32(132, 8)],
      {},
    ],
    ['an extension that ends 8 bytes before its cluster', [u32(104, 0x1234), u32(108, CLUSTER - 120)], {}],
  ]
  for (const [what, changes, expected, bytes = CLUSTER] of accepted)
    test(`with ${what} is read`, () => {
      const { notes, ...header } = readQcow2Header(head(bytes, ...changes))
      const { notes: count = 0, ...wanted } = expected as { notes?: number }
      const { notes: _, ...rest } = plain
      assert.deepEqual(header, { ...rest, ...wanted })
      assert.equal(notes.length, count)
    })

  const refused: [what: string, changes: Change[], cause: RegExp][] = [
    ['another magic', [u32(0, 0x514649fa)], /not qcow2: its magic/],
    ['version 1', [u32(4, 1)], /qcow version 1;/],
    ['version 4', [u32(4, 4)], /qcow version 4;/],
    ['clusters of 2^8 bytes', [clusters(8)], /cluster size of the image is 2\^8 bytes/],
    ['clusters of 2^22 bytes', [clusters(22)], /cluster size of the image is 2\^22 bytes/],
    ['a backing file', [u64(8, 1n)], /backing file/],
    ['AES', [u32(32, 1)], /encrypted \(AES\);/],
    ['LUKS', [u32(32, 2)], /encrypted \(LUKS\);/],
    ['an unknown method of encryption', [u32(32, 3)], /encrypted \(unknown method 3\);/],
    ['an external data file', [u64(72, 4n)], /external data file/],
    ['the mark of corruption', [u64(72, 2n)], /marked as corrupt/],
    ['the feature bit 5', [u64(72, 32n)], /feature bit 5\./],
    ['the feature bit 63', [u64(72, 1n << 63n)], /feature bit 63\./],
    ['extended entries in clusters of 4 KiB', [u64(72, 16n)], /at least 16 KiB, but the image has 4096/],
    ['refcounts of 128 bits', [u32(96, 7)], /refcount order of the image is 7/],
    ['a header of 96 bytes', [u32(100, 96)], /header length of the image is 96/],
    ['a header of 108 bytes', [u32(100, 108)], /header length of the image is 108/],
    [
      'a header that is longer than its cluster',
      [u32(100, CLUSTER + 8)],
      /header length of the image is 4104/,
    ],
    ['a size of 0', [u64(24, 0n)], /virtual size of the image is 0/],
    ['a byte more than 2^20 L1 entries', [u64(24, (BigInt(l2Span) << 20n) + 1n)], /clusters are too small/],
    [
      'a byte more than 2^22 L1 entries',
      [u64(24, (BigInt(l2Span) << 22n) + 1n)],
      /more than its tables can describe/,
    ],
    ['2^22 L1 entries', [u64(24, BigInt(l2Span) << 22n)], /clusters are too small/],
    ['no refcount table', [u32(56, 0)], /refcount table of the image \(version 3\) has 0 bytes/],
    ['a refcount table of more than 8 MiB', [u32(56, 2049)], /has 8392704 bytes/],
    ['a refcount table at 0', [u64(48, 0n)], /offset of the refcount table is 0/],
    ['a refcount table inside a cluster', [u64(48, 4608n)], /offset of the refcount table is 4608/],
    ['an L1 table at 2^53', [u64(40, 2n ** 53n)], /offset of the L1 table is 9007199254740992/],
    ['an L1 table in the refcount table', [u64(40, 4096n)], /overlap/],
    ['an L1 table in the last cluster of the refcount table', [u32(56, 3)], /overlap/],
    [
      'an L1 table that reaches into the refcount table',
      [u64(40, 4096n), u64(48, 8192n), u64(24, BigInt(l2Span) * 513n), u32(36, 513)],
      /overlap/,
    ],
    [
      'an L1 table that is one entry too short',
      [u64(24, BigInt(l2Span + 1))],
      /L1 table has 1 entries, but the virtual size needs 2/,
    ],
    ['a byte more of an L1 table than 32 MiB', [u32(36, 4_194_305)], /L1 table has 4194305 entries, more/],
    ['65537 snapshots', [u32(60, 65_537), u64(64, 8192n)], /claims 65537 snapshots/],
    ['a snapshot table in the header', [u32(60, 1), u64(64, 0n)], /offset of the snapshot table is 0/],
    ['zstd without its bit', [u32(100, 112), (image) => void (image[104] = 1)], /contradict/],
    ['the bit of zstd alone', [u32(100, 112), u64(72, 8n)], /contradict/],
    ['the bit of zstd and no field for it', [u64(72, 8n)], /contradict/],
    [
      'compression of type 2',
      [u32(100, 112), u64(72, 8n), (image) => void (image[104] = 2)],
      /compression type 2/,
    ],
    [
      'an extension longer than its cluster',
      [u32(104, 0x1234), u32(108, CLUSTER - 111)],
      /claims 3985 bytes/,
    ],
    [
      'a second extension with a data file',
      [u32(104, 0x1234), u32(108, 9), u32(128, 0x4441_5441)],
      /external data file/,
    ],
    ['an encryption header', [u32(104, 0x0537_be77), u32(108, 16)], /encryption header/],
    ['an extension behind a longer header', [u32(100, 112), u32(112, 0x4441_5441)], /external data file/],
  ]
  for (const [what, changes, cause] of refused)
    test(`with ${what} is refused`, () =>
      assert.throws(() => readQcow2Header(head(CLUSTER, ...changes)), says(cause)))

  test('is cut off where it ends too early', () => {
    for (const [bytes, cause] of [
      [3, /does not even hold a header/],
      [23, /does not even hold a header/],
      [103, /ends inside its header/],
    ] as const)
      assert.throws(() => headerBytes(head(bytes)), says(cause))
    assert.equal(headerBytes(head(104)), CLUSTER)
    assert.throws(() => headerBytes(head(71, u32(4, 2))), says(/ends inside its header/))
    assert.equal(headerBytes(head(72, u32(4, 2))), CLUSTER)
    assert.throws(() => readQcow2Header(head(111)), says(/ends inside its header/))
  })

  test('tells of a disk that is a byte too small', () => {
    readQcow2Header(head(CLUSTER), { diskSize: 65_536 })
    assert.throws(
      () => readQcow2Header(head(CLUSTER), { diskSize: 65_535 }),
      says(/65536 bytes, but the disk has 65535/, 'DISK'),
    )
  })

  test('tells of tables that lie behind the end of the file', () => {
    readQcow2Header(head(CLUSTER), { fileSize: AT.l1 + 8 })
    assert.throws(
      () => readQcow2Header(head(CLUSTER), { fileSize: AT.l1 + 7 }),
      says(/L1 table lies behind its end/),
    )
    const late = head(CLUSTER, u64(48, 65_536n), u32(56, 2))
    readQcow2Header(late, { fileSize: 65_536 + CLUSTER + 1 })
    assert.throws(
      () => readQcow2Header(late, { fileSize: 65_536 + CLUSTER }),
      says(/refcount table lies behind/),
    )
  })
})

describe('the tables of a qcow2 image', () => {
  test('lowerBound finds the first that is not smaller', () => {
    const values = Float64Array.of(1, 3, 3, 7)
    assert.deepEqual(
      [0, 1, 2, 3, 4, 7, 8].map((value) => lowerBound(values, value)),
      [0, 0, 1, 1, 3, 3, 4],
    )
    assert.equal(lowerBound(new Float64Array(0), 5), 0)
  })

  test('the refcount table gives the places of its blocks, sorted, without what is none', () => {
    const bytes = Buffer.alloc(8 * 5 + 3)
    for (const [index, offset] of [8192n, 0n, 4096n, 4097n, 1n << 40n].entries())
      bytes.writeBigUInt64BE(offset, index * 8)
    assert.deepEqual([...readRefcountTable(bytes, 4096)], [4096, 8192, 2 ** 40])
    const inside = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3)
    assert.deepEqual([...readRefcountTable(inside, 4096)], [4096, 8192, 2 ** 40])
  })

  const refused: [what: string, image: Buffer, cause: RegExp][] = [
    ['an L1 entry with bit 56', patched(u64(AT.l1, BigInt(AT.l2) | (1n << 56n))), /L1 entry 0 has reserved/],
    ['an L1 entry with bit 8', patched(u64(AT.l1, BigInt(AT.l2) | 256n)), /L1 entry 0 has reserved/],
    ['an L1 entry without an offset', patched(u64(AT.l1, COPIED)), /L1 entry 0 is in use but has no offset/],
    ['an L1 entry into a cluster', patched(u64(AT.l1, BigInt(AT.l2 + 512))), /begins no cluster/],
    [
      'an L2 table that is cut',
      patched(u64(AT.l1, BigInt(AT.data + 2 * CLUSTER))).subarray(0, 8 * CLUSTER - 1),
      /behind its end/,
    ],
    [
      'an L2 table in the refcount table',
      patched(u64(AT.l1, BigInt(AT.refcountTable))),
      /holds the header or another/,
    ],
    ['an L2 table in the L1 table', patched(u64(AT.l1, BigInt(AT.l1))), /holds the header or another/],
    [
      'an L2 entry with bit 56',
      patched((image) => setL2(image, 2, (1n << 56n) | BigInt(AT.data))),
      /L2 entry 2 has reserved/,
    ],
    [
      'an L2 entry with bit 1',
      patched((image) => setL2(image, 2, BigInt(AT.data) | 2n)),
      /L2 entry 2 has reserved/,
    ],
    [
      'an L2 entry with bit 8',
      patched((image) => setL2(image, 2, BigInt(AT.data) | 256n)),
      /L2 entry 2 has reserved/,
    ],
    [
      'an L2 entry without an offset',
      patched((image) => setL2(image, 2, COPIED)),
      /L2 entry 2 is in use but/,
    ],
    [
      'an L2 entry into a cluster',
      patched((image) => setL2(image, 2, BigInt(AT.data + 512))),
      /begins no cluster/,
    ],
    [
      'a zero flag in version 2',
      patched(u32(4, 2), (image) => setL2(image, 2, BigInt(AT.data) | 1n), u64(96, 0n)),
      /zero flag, which version 2/,
    ],
    [
      'data in an L2 table',
      patched((image) => setL2(image, 2, BigInt(AT.l2))),
      /holds the header or a table/,
    ],
    [
      'data in the L1 table',
      patched((image) => setL2(image, 2, BigInt(AT.l1))),
      /holds the header or a table/,
    ],
    [
      'data in the refcount table',
      patched((image) => setL2(image, 2, BigInt(AT.refcountTable))),
      /holds the header or a table/,
    ],
    ['data behind the end', patched((image) => setL2(image, 2, BigInt(8 * CLUSTER))), /behind its end/],
  ]
  for (const [what, image, cause] of refused)
    test(`with ${what} are refused, by both decoders`, async () => {
      await assert.rejects(planned(image), says(cause))
      assert.throws(() => drive(unplanned(image), image, 1000), says(cause))
    })

  test('entries behind the end of the disk are not looked at', async () => {
    const image = patched((bytes) => setL2(bytes, 16, COPIED))
    assert.ok(
      drive(await planned(image), image, 5000).equals(drive(await planned(plainImage()), plainImage(), 5000)),
    )
    const last = patched((bytes) => setL2(bytes, 15, COPIED))
    await assert.rejects(planned(last), says(/L2 entry 15 is in use/))
  })
})

describe('a qcow2 image that is read at will', () => {
  const view = async (file: Buffer) => {
    const map = await readQcow2Map(sourceOf(file), { budgetBytes: 1 << 20 })
    assert.ok(map)
    return openQcow2View(sourceOf(file), map)
  }

  test('is read up to its last byte and not further', async () => {
    const opened = await view(plainImage())
    assert.equal(opened.virtualSize, 65_536)
    assert.equal((await opened.read(65_536, 0)).length, 0)
    assert.equal((await opened.read(65_535, 1)).length, 1)
    for (const [offset, length] of [
      [65_536, 1],
      [65_535, 2],
      [-1, 2],
      [5, -1],
    ] as const)
      await assert.rejects(opened.read(offset, length), RangeError)
  })

  test('gives each piece as the whole has it, whatever was read before', async () => {
    for (const file of [plainImage(), compressedImage(deflated(CLUSTER))]) {
      const whole = drive(await planned(file), file, 4096)
      const opened = await view(file)
      for (const offset of [0, 1, 4095, 4096, 8191, 8192, 20_479, 20_480, 24_575, 24_576, 0, 4000])
        for (const length of [0, 1, 97, 4096, 9000])
          assert.ok(
            whole.subarray(offset, offset + length).equals(await opened.read(offset, length)),
            `${length} bytes at ${offset}`,
          )
    }
  })

  test('is mapped within its budget or not at all', async () => {
    const file = plainImage()
    const cost = 48 + 700 + 2 * 20
    assert.ok(await readQcow2Map(sourceOf(file), { budgetBytes: cost }))
    assert.equal(await readQcow2Map(sourceOf(file), { budgetBytes: cost - 1 }), null)
    assert.equal(await readQcow2Map(sourceOf(file), { budgetBytes: 47 }), null)
  })

  test('whose length is not known, or 0, is not mapped', async () => {
    await assert.rejects(
      readQcow2Map({ ...sourceOf(plainImage()), size: undefined }, { budgetBytes: 1 << 20 }),
      TypeError,
    )
    await assert.rejects(
      readQcow2Map(sourceOf(Buffer.alloc(0)), { budgetBytes: 1 << 20 }),
      says(/it is empty/),
    )
  })
})

describe('a stream that is not the file that was mapped', () => {
  const changed = (cause: RegExp) => says(cause, 'DOWNLOAD')
  const push = async (file: Buffer, pieces: number) => drive(await planned(plainImage()), file, pieces)

  for (const pieces of [1000, 4096, 1 << 20]) {
    for (const [name, at] of [
      ['the first byte of the header', 0],
      ['the last byte of the header', CLUSTER - 1],
      ['the first byte of the L1 table', AT.l1],
      ['the last used byte of the L1 table', AT.l1 + 7],
      ['the first byte of an L2 table', AT.l2],
      ['the last byte of an L2 table', AT.l2 + CLUSTER - 1],
    ] as const)
      test(`differs in ${name}, in pieces of ${pieces}`, async () => {
        const file = plainImage()
        file[at] = (file[at] as number) ^ 1
        await assert.rejects(push(file, pieces), changed(/tables are not those read before/))
      })
  }

  test('may differ where no table lies', async () => {
    const file = plainImage()
    file[AT.l1 + 8] = 1
    file[AT.refcountBlock] = 9
    await push(file, 4096)
  })

  test('is longer or shorter', async () => {
    await assert.rejects(
      push(Buffer.concat([plainImage(), Buffer.alloc(1)]), 4096),
      changed(/longer than before/),
    )
    await assert.rejects(push(plainImage().subarray(0, -1), 4096), changed(/another length than before/))
    const decoder = await planned(plainImage())
    assert.throws(() => decoder.finish(8 * CLUSTER), changed(/another length/))
    assert.throws(() => decoder.push(Buffer.alloc(1), 1), RangeError)
    const streamed = unplanned(plainImage())
    assert.throws(() => streamed.push(Buffer.alloc(1), 1), RangeError)
    assert.throws(() => streamed.finish(8 * CLUSTER), changed(/another length than it said/))
    const file = plainImage()
    streamed.push(file, 0)
    assert.throws(() => streamed.push(Buffer.alloc(1), file.length), changed(/longer than its length said/))
  })
})
