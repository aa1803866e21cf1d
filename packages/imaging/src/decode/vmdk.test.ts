import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { drive, sourceOf } from './test-images.ts'
import { contentOf, GRAIN, grainOf, makeVmdk, type VmdkParts } from './test-vmdk.ts'
import { VmdkDecoder } from './vmdk-stream.ts'
import { openVmdkView } from './vmdk-view.ts'

const missing = spawnSync('qemu-img', ['--version']).error ? 'absent: qemu-img' : false
const PIECES = [1, 511, 65_537, 1 << 20]
const COT = join(import.meta.dirname, '../../testdata/cot')

const decode = (file: Buffer, pieces: number): Buffer =>
  drive(new VmdkDecoder(file.subarray(0, 512)), file, pieces)
const viewOf = (file: Buffer) => openVmdkView({ ...sourceOf(file), size: file.length })

describe('a streamOptimized VMDK with its tables behind the grains', () => {
  for (const pieces of PIECES) {
    test(`comes byte for byte in pieces of ${pieces}`, () => {
      assert.ok(decode(makeVmdk(), pieces).equals(contentOf()))
    })
  }

  test('is read at will by its tables, which show the same', async () => {
    const view = await viewOf(makeVmdk())
    const content = contentOf()
    for (const [offset, length] of [
      [0, 4096],
      [GRAIN - 10, 20],
      [3 * GRAIN - 1, GRAIN + 2],
      [content.length - 9, 9],
    ] as const) {
      assert.ok(
        Buffer.from(await view.read(offset, length)).equals(content.subarray(offset, offset + length)),
      )
    }
  })

  test('may have a last grain that reaches past its capacity', () => {
    const capacity = 2 * GRAIN + 512
    const grains = new Map([[2, grainOf('last')]])
    assert.ok(decode(makeVmdk({ capacity, grains }), 4096).equals(grainCut(capacity)))
  })

  const grainCut = (capacity: number): Buffer => {
    const disk = Buffer.alloc(capacity)
    grainOf('last').copy(disk, 2 * GRAIN, 0, 512)
    return disk
  }
})

describe('a VMDK of', { skip: missing }, () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'byoi-vmdk-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  const cases = [
    { name: 'a sparse disk', bytes: 40 * 1024 * 1024, at: [0, 700_000, 33_600_000, 40 * 1024 * 1024 - 512] },
    { name: 'a disk that ends in a grain', bytes: 10 * GRAIN + 1024, at: [5 * GRAIN, 10 * GRAIN] },
    { name: 'an empty disk', bytes: 8 * 1024 * 1024, at: [] },
  ]
  for (const { name, bytes, at } of cases) {
    test(`${name}, made by qemu-img, comes byte for byte, from the stream and at will`, async () => {
      const raw = join(folder, 'disk.raw')
      const file = openSync(raw, 'w')
      for (const offset of at) writeSync(file, Buffer.alloc(512, `data at ${offset} `), 0, 512, offset)
      closeSync(file)
      truncateSync(raw, bytes)
      const path = join(folder, 'disk.vmdk')
      execFileSync('qemu-img', [
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        'subformat=streamOptimized',
        raw,
        path,
      ])
      const image = readFileSync(path)
      const content = readFileSync(raw)
      for (const pieces of PIECES.slice(1)) assert.ok(decode(image, pieces).equals(content))
      const view = await viewOf(image)
      assert.ok(Buffer.from(await view.read(0, bytes)).equals(content))
    })
  }

  for (const name of ['input.vmdk', 'ubuntu.2.0-disk1.vmdk']) {
    test(`the public sample ${name} is what qemu-img reads in it`, () => {
      const image = readFileSync(join(COT, name))
      const decoder = new VmdkDecoder(image)
      const blocks = execFileSync('qemu-img', ['map', '--output=json', '-f', 'vmdk', join(COT, name)])
      const data = (JSON.parse(blocks.toString()) as { data: boolean }[]).some((it) => it.data)
      let extents = 0
      for (let at = 0; at < image.length; at += 4096)
        extents += decoder.push(image.subarray(at, at + 4096), at).extents.length
      assert.equal(decoder.finish(image.length).extents.length + extents > 0, data)
    })
  }
})

const u32 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at)
const u64 = (at: number, value: bigint) => (bytes: Buffer) => void bytes.writeBigUInt64LE(value, at)

const hostile: { what: string; change: Partial<VmdkParts>; says: RegExp }[] = [
  { what: 'version 4', change: { header: u32(4, 4) }, says: /version 4/ },
  { what: 'no compression', change: { header: u32(8, 3) }, says: /not streamOptimized/ },
  { what: 'an unknown flag', change: { header: u32(8, 0x130001) }, says: /flags 0x100000/ },
  { what: 'capacity 0', change: { header: u64(12, 0n) }, says: /capacity of 0/ },
  { what: 'the largest capacity', change: { header: u64(12, 2n ** 64n - 1n) }, says: /impossible/ },
  {
    what: 'more grain tables than memory is meant for',
    change: { header: u64(12, 2n ** 37n) },
    says: /2097152 grain/,
  },
  {
    what: 'its grain directory in its descriptor',
    change: { header: u64(56, 1n) },
    says: /directory stands at sector 1/,
  },
  {
    what: 'its grain directory in its header',
    change: { header: u64(56, 0n) },
    says: /directory stands at sector 0/,
  },
  { what: 'grains of no sector', change: { header: u64(20, 0n) }, says: /power of two/ },
  { what: 'grains of 2^64 - 1 sectors', change: { header: u64(20, 2n ** 64n - 1n) }, says: /power of two/ },
  { what: 'grains of 100 sectors', change: { header: u64(20, 100n) }, says: /power of two/ },
  { what: 'tables without entries', change: { header: u32(44, 0) }, says: /have 0 entries/ },
  {
    what: 'tables of 2^32 - 1 entries',
    change: { header: u32(44, 2 ** 32 - 1) },
    says: /4294967295 entries/,
  },
  { what: 'no descriptor', change: { header: u64(28, 0n) }, says: /no embedded descriptor/ },
  { what: 'a descriptor of a GiB', change: { header: u64(36, 2n ** 21n) }, says: /impossible size/ },
  { what: 'another compression', change: { header: (it) => void it.writeUInt16LE(2, 77) }, says: /method 2/ },
  {
    what: 'line ends changed by a text transfer',
    change: { header: (it) => void it.write('\n \n\n', 73) },
    says: /text/,
  },
  {
    what: 'a descriptor that claims a flat extent',
    change: { descriptor: (text) => text.replace('SPARSE "disk.vmdk"', 'FLAT "disk-flat.vmdk" 0') },
    says: /does not know|FLAT/,
  },
  {
    what: 'an extent that names a path',
    change: { descriptor: (text) => text.replace('disk.vmdk', '/etc/passwd') },
    says: /does not know/,
  },
  {
    what: 'a second extent',
    change: { descriptor: (text) => `${text}RW 5 SPARSE "b.vmdk"\n` },
    says: /another size|2 extents/,
  },
  { what: 'no extent', change: { descriptor: (text) => text.replace(/RDONLY.*\n/, '') }, says: /0 extents/ },
  {
    what: 'a parent',
    change: { descriptor: (text) => text.replace('parentCID=ffffffff', 'parentCID=12345678') },
    says: /parent/,
  },
  {
    what: 'a parent hint',
    change: { descriptor: (text) => `${text}parentFileNameHint="/x"\n` },
    says: /parent/,
  },
  {
    what: 'another type',
    change: { descriptor: (text) => text.replace('streamOptimized', 'vmfs') },
    says: /vmfs/,
  },
  {
    what: 'a line that is none',
    change: { descriptor: (text) => `${text}junk junk\n` },
    says: /does not know/,
  },
  {
    what: 'a grain beyond the capacity',
    change: { marker: (it, grain) => void (grain === 3 && it.writeBigUInt64LE(2n ** 40n, 0)) },
    says: /where none can be/,
  },
  {
    what: 'a grain whose sector overflows',
    change: { marker: (it, grain) => void (grain === 3 && it.writeBigUInt64LE(2n ** 64n - 1n, 0)) },
    says: /where none can be/,
  },
  {
    what: 'a grain between two',
    change: { marker: (it, grain) => void (grain === 3 && it.writeBigUInt64LE(385n, 0)) },
    says: /where none can be/,
  },
  {
    what: 'a grain of 2^32 - 1 compressed bytes',
    change: { marker: (it, grain) => void (grain === 3 && it.writeUInt32LE(2 ** 32 - 1, 8)) },
    says: /more than a grain/,
  },
  {
    what: 'a marker for another slot than the table says',
    change: { marker: (it, grain) => void (grain === 3 && it.writeBigUInt64LE(4n * 128n, 0)) },
    says: /different images/,
  },
  {
    what: 'one grain twice',
    change: { marker: (it, grain) => void (grain === 3 && it.writeBigUInt64LE(0n, 0)) },
    says: /twice/,
  },
  { what: 'a table that names a grain more', change: { table: u32(40, 128) }, says: /different images/ },
  {
    what: 'a table that leaves a grain out',
    change: { table: u32(12, 0) },
    says: /different images|no table names/,
  },
  { what: 'a directory that leaves a table out', change: { directory: u32(0, 0) }, says: /different images/ },
  {
    what: 'a directory that names another place',
    change: { directory: u32(4, 128) },
    says: /different images/,
  },
  {
    what: 'a footer without a directory',
    change: { footer: u64(56, 2n ** 64n - 1n) },
    says: /another grain directory/,
  },
  {
    what: 'a footer with another directory',
    change: { footer: u64(56, 5n) },
    says: /another grain directory/,
  },
  { what: 'a footer of another capacity', change: { footer: u64(12, 128n) }, says: /not that of its header/ },
  { what: 'a footer that is none', change: { footer: (it) => void it.fill(0) }, says: /no sparse extent/ },
  { what: 'bytes after its end', change: { tail: Buffer.from('more') }, says: /goes on after its end/ },
]

describe('a VMDK is refused with', () => {
  for (const { what, change, says } of hostile) {
    test(what, () => {
      const file = makeVmdk(change)
      assert.throws(
        () => decode(file, 4096),
        (error) => error instanceof ImagingError && error.code === 'FORMAT' && says.test(error.cause),
      )
    })
  }

  test('an end at any sector', () => {
    const file = makeVmdk()
    for (let end = 512; end < file.length; end += 512) {
      assert.throws(() => decode(file.subarray(0, end), 65_536), ImagingError, `cut at ${end}`)
    }
  })

  const spoiled = [
    { what: 'garbage', grain: (stream: Buffer) => stream.fill(0xa5, 2) },
    { what: 'a short stream', grain: (stream: Buffer) => stream.fill(0, stream.length - 8) },
  ]
  for (const { what, grain } of spoiled) {
    test(`a grain that is ${what}, when it is decoded`, () => {
      const file = makeVmdk()
      const at = 128 * 512 + 12
      grain(file.subarray(at, at + file.readUInt32LE(at - 4)))
      assert.throws(
        () => decode(file, 4096),
        (error) => error instanceof ImagingError && error.code === 'WRITE',
      )
    })
  }

  test('a grain that inflates to more than a grain', () => {
    const grains = new Map([[0, Buffer.alloc(64 * GRAIN)]])
    assert.throws(
      () => decode(makeVmdk({ grains }), 4096),
      (error) => error instanceof ImagingError && error.code === 'WRITE',
    )
  })
})
