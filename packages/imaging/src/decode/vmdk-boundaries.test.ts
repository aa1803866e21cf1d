import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { sourceOf } from './test-images.ts'
import { contentOf, GRAIN, grainOf, makeVmdk } from './test-vmdk.ts'
import { checkVmdkDescriptor, readVmdkHeader } from './vmdk-header.ts'
import { openVmdkView } from './vmdk-view.ts'

const says = (cause: RegExp) => (error: unknown) =>
  error instanceof ImagingError && error.code === 'FORMAT' && cause.test(error.cause)

const AT_END = 0xffff_ffff_ffff_ffffn
const u32 = (at: number, value: number) => (header: Buffer) => void header.writeUInt32LE(value, at)
const u64 = (at: number, value: bigint) => (header: Buffer) => void header.writeBigUInt64LE(value, at)
const both =
  (...changes: ((header: Buffer) => void)[]) =>
  (header: Buffer) =>
    changes.forEach((change) => change(header))
const header = (change: (header: Buffer) => void = () => {}) => makeVmdk({ header: change }).subarray(0, 512)

describe('the header of a VMDK', () => {
  const plain = readVmdkHeader(header())

  test('gives sizes in bytes and places in sectors', () => {
    assert.deepEqual(plain, {
      virtualSize: 64 * 1024 * 1024 + 5 * GRAIN,
      grainSize: GRAIN,
      descriptor: { start: 1, count: 1 },
      directory: null,
      tables: 3,
      overhead: 128,
      zeroedGrains: false,
    })
    const inside = Buffer.concat([Buffer.alloc(7), header()]).subarray(7)
    assert.deepEqual(readVmdkHeader(inside), plain)
  })

  const accepted: [what: string, change: (header: Buffer) => void, expected: object][] = [
    ['version 1', u32(4, 1), {}],
    ['version 2', u32(4, 2), {}],
    ['grains of 8 sectors', u64(20, 8n), { grainSize: 4096, tables: 33 }],
    ['grains of 4096 sectors', u64(20, 4096n), { grainSize: 2 * 1024 * 1024, tables: 1 }],
    ['one sector', u64(12, 1n), { virtualSize: 512, tables: 1 }],
    ['exactly one table', u64(12, 65_536n), { virtualSize: 512 * GRAIN, tables: 1 }],
    ['one sector more', u64(12, 65_537n), { virtualSize: 512 * GRAIN + 512, tables: 2 }],
    ['64 TiB', u64(12, 2n ** 37n), { virtualSize: 2 ** 46, tables: 2 ** 21 }],
    ['a descriptor up to its grains', u64(36, 127n), { descriptor: { start: 1, count: 127 } }],
    [
      'the longest descriptor',
      both(u64(36, 2047n), u64(64, 2048n)),
      { descriptor: { start: 1, count: 2047 }, overhead: 2048 },
    ],
    ['zeroed grains', u32(8, 0x30005), { zeroedGrains: true }],
    ['two tables of each kind', u32(8, 0x30003), {}],
    ['no test of line ends', both(u32(8, 0x30000), u32(73, 0)), {}],
    ['a directory behind its grains', u64(56, 128n), { directory: 128 }],
    ['a directory right behind its descriptor', u64(56, 2n), { directory: 2 }],
    ['a directory right before its grains', u64(56, 127n), { directory: 127 }],
    [
      'a directory of two sectors before its grains',
      both(u64(12, 129n * 65_536n), u64(56, 126n)),
      { directory: 126, tables: 129, virtualSize: 129 * 512 * GRAIN },
    ],
  ]
  for (const [what, change, expected] of accepted)
    test(`with ${what} is read`, () =>
      assert.deepEqual(readVmdkHeader(header(change)), { ...plain, ...expected }))

  const refused: [what: string, change: (header: Buffer) => void, cause: RegExp][] = [
    ['another magic', u32(0, 0x564d_444c), /no sparse extent/],
    ['version 0', u32(4, 0), /version 0/],
    ['version 4', u32(4, 4), /version 4/],
    ['grains of 4 sectors', u64(20, 4n), /grains of 4 sectors/],
    ['grains of 8192 sectors', u64(20, 8192n), /grains of 8192 sectors/],
    ['grains of 129 sectors', u64(20, 129n), /grains of 129 sectors/],
    ['grains of 2^64 - 1 sectors', u64(20, AT_END), /grains of Infinity sectors/],
    ['tables of 511', u32(44, 511), /have 511 entries instead of 512/],
    ['tables of 513', u32(44, 513), /have 513 entries/],
    ['no capacity', u64(12, 0n), /capacity of 0 sectors/],
    ['a capacity above 64 TiB', u64(12, 2n ** 37n + 1n), /capacity of 137438953473 sectors/],
    ['a descriptor in its header', u64(28, 0n), /no embedded descriptor/],
    ['a descriptor of 0 sectors', u64(36, 0n), /no embedded descriptor/],
    ['a descriptor of 2048 sectors', both(u64(36, 2048n), u64(64, 4096n)), /impossible size/],
    ['a descriptor one sector into its grains', u64(36, 128n), /reaches into its grains/],
    ['more than 2^21 tables', both(u64(20, 8n), u64(12, 2n ** 33n + 1n)), /needs 2097153 grain tables/],
    ['a directory in its descriptor', u64(56, 1n), /directory stands at sector 1,/],
    ['a directory in its header', u64(56, 0n), /directory stands at sector 0,/],
    [
      'a directory that reaches into its grains',
      both(u64(12, 129n * 65_536n), u64(56, 127n)),
      /directory stands at sector 127,/,
    ],
    ['a flag that is not known', u32(8, 0x30009), /flags 0x8,/],
    ['the highest flag', u32(8, 0x8003_0001), /flags 0x80000000,/],
    ['no compression', u32(8, 0x20001), /not streamOptimized/],
    ['no markers', u32(8, 0x10001), /not streamOptimized/],
    ['compression by method 0', (bytes) => void bytes.writeUInt16LE(0, 77), /method 0/],
    ['compression by method 257', (bytes) => void bytes.writeUInt16LE(257, 77), /method 257/],
    ...[73, 74, 75, 76].map((at): [string, (header: Buffer) => void, RegExp] => [
      `another byte ${at}`,
      (bytes) => void bytes.writeUInt8(0x0b, at),
      /damaged by a transfer as text/,
    ]),
  ]
  for (const [what, change, cause] of refused)
    test(`with ${what} is refused`, () => assert.throws(() => readVmdkHeader(header(change)), says(cause)))

  test('is cut off below 512 bytes', () => {
    assert.throws(() => readVmdkHeader(header().subarray(0, 511)), says(/cut off in its VMDK header/))
  })
})

describe('the descriptor of a VMDK', () => {
  const LINES = ['version=1', 'createType="streamOptimized"', 'RW 8 SPARSE "disk.vmdk"']
  const check = (...lines: string[]) =>
    checkVmdkDescriptor(Buffer.from(lines.join('\n')), { ...readVmdkHeader(header()), virtualSize: 4096 })
  const without = (index: number, ...more: string[]) => [...LINES.toSpliced(index, 1), ...more]

  const accepted: [what: string, lines: string[]][] = [
    ['what is needed', LINES],
    ['comments, blanks and DOS lines', ['# comment', '', '  ', ...LINES.map((line) => `\t${line} \r`)]],
    ['its own parent', [...LINES, 'parentCID=FFFFFFFF']],
    ['other cases', ['CREATETYPE = "StreamOptimized"', 'rdonly 8 sparse "d"']],
    ['a type without quotes', ['createType=streamOptimized', 'NOACCESS 8 SPARSE "d"']],
    ['settings with dots', [...LINES, 'ddb.uuid.image = "x = y"']],
    ['zeros behind it', [...LINES, '\0garbage']],
    ['leading zeros in its size', without(2, 'RW 0000000000000008 SPARSE "d"')],
    ['a name of 255 characters', without(2, `RW 8 SPARSE "${'n'.repeat(255)}"`)],
  ]
  for (const [what, lines] of accepted) test(`with ${what} is taken`, () => check(...lines))

  const refused: [what: string, lines: string[], cause: RegExp][] = [
    ['nothing', [''], /descriptor is empty/],
    ['zeros', ['\0\0'], /descriptor is empty/],
    ['a line that is neither', [...LINES, 'hello'], /a line that byoi does not know/],
    ['a setting that begins with a digit', [...LINES, '1a=b'], /a line that byoi does not know/],
    ['an extent with an offset', without(2, 'RW 8 SPARSE "d" 0'), /a line that byoi does not know/],
    ['an extent with a path', without(2, 'RW 8 SPARSE "a/d"'), /a line that byoi does not know/],
    ['an extent with a backslash', without(2, 'RW 8 SPARSE "a\\d"'), /a line that byoi does not know/],
    ['an extent without a name', without(2, 'RW 8 SPARSE ""'), /a line that byoi does not know/],
    ['a name of 256 characters', without(2, `RW 8 SPARSE "${'n'.repeat(256)}"`), /a line that byoi/],
    ['no extent', without(2), /names 0 extents instead of one/],
    ['two extents', [...LINES, 'RW 8 SPARSE "e"'], /names 2 extents instead of one/],
    ['a flat extent', without(2, 'RW 8 FLAT "d"'), /extent is of type FLAT, not SPARSE/],
    ['a sector less', without(2, 'RW 7 SPARSE "d"'), /another size than its header/],
    ['a sector more', without(2, 'RW 9 SPARSE "d"'), /another size than its header/],
    ['a size of 17 digits', without(2, 'RW 00000000000000008 SPARSE "d"'), /another size than its header/],
    ['no type', without(1), /says that it is of another type, not streamOptimized/],
    ['another type', without(1, 'createType="twoGbMaxExtent_x-1"'), /it is twoGbMaxExtent_x-1, not/],
    ['a type that is not shown', without(1, 'createType="a b"'), /it is of another type, not/],
    ['a type of 33 characters', without(1, `createType="${'t'.repeat(33)}"`), /it is of another type, not/],
    ['a parent', [...LINES, 'parentCID=12345678'], /needs a parent image/],
    ['the name of a parent', [...LINES, 'parentFileNameHint="p"'], /needs a parent image/],
  ]
  for (const [what, lines, cause] of refused)
    test(`with ${what} is refused`, () => assert.throws(() => check(...lines), says(cause)))
})

describe('a VMDK that is read at will', () => {
  const content = contentOf()
  const open = (file: Buffer) => openVmdkView({ ...sourceOf(file), size: file.length })

  test('is read up to its last byte and not further', async () => {
    const view = await open(makeVmdk())
    assert.equal((await view.read(content.length, 0)).length, 0)
    assert.equal((await view.read(content.length - 1, 1)).length, 1)
    for (const [offset, length] of [
      [content.length, 1],
      [content.length - 1, 2],
      [-1, 1],
      [0, -1],
    ] as const)
      await assert.rejects(view.read(offset, length), RangeError)
  })

  test('gives the same whichever grain and table was read before', async () => {
    const view = await open(makeVmdk())
    for (const offset of [
      0,
      3 * GRAIN,
      513 * GRAIN,
      0,
      2 * GRAIN,
      512 * GRAIN,
      513 * GRAIN,
      GRAIN - 1,
      3 * GRAIN + 5,
    ])
      assert.deepEqual(
        Buffer.from(await view.read(offset, 9)),
        content.subarray(offset, offset + 9),
        `at ${offset}`,
      )
  })

  test('takes an entry of 1 for zeros only where its header says so', async () => {
    const changes = { table: (entries: Buffer) => void entries.writeUInt32LE(1, 0) }
    const flags = u32(8, 0x30005)
    const view = await open(makeVmdk({ ...changes, header: flags, footer: flags }))
    assert.deepEqual(Buffer.from(await view.read(0, 9)), Buffer.alloc(9))
    assert.deepEqual(Buffer.from(await view.read(3 * GRAIN, 9)), content.subarray(3 * GRAIN, 3 * GRAIN + 9))
    const other = await open(makeVmdk(changes))
    await assert.rejects(other.read(0, 9), ImagingError)
  })

  test('cuts its last grain at the end of the disk', async () => {
    const parts = { capacity: 2 * GRAIN + 512, grains: new Map([[2, grainOf('last')]]) }
    const view = await open(makeVmdk(parts))
    assert.deepEqual(Buffer.from(await view.read(2 * GRAIN, 512)), grainOf('last').subarray(0, 512))
  })

  test('refuses a footer that names no directory, and places behind its end', async () => {
    const footer = u64(56, AT_END)
    await assert.rejects(open(makeVmdk({ footer })), says(/footer names no grain directory/))
    const view = await open(makeVmdk({ directory: (entries) => void entries.writeUInt32LE(0xff_ffff, 0) }))
    await assert.rejects(view.read(0, 1), says(/lies behind its end/))
    await assert.rejects(open(header()), says(/lies behind its end/))
  })

  test('refuses a marker that speaks of another grain, and one of an impossible size', async () => {
    const other = await open(makeVmdk({ marker: (marker) => void marker.writeBigUInt64LE(128n, 0) }))
    await assert.rejects(other.read(0, 1), says(/show different images/))
    const long = await open(
      makeVmdk({ marker: (marker, grain) => void (grain === 0 && marker.writeUInt32LE(2 * GRAIN + 1, 8)) }),
    )
    await assert.rejects(long.read(0, 1), says(/compressed grain of 131073 bytes/))
  })
})
