import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { drive, sourceOf } from './test-images.ts'
import { contentOf, GRAIN, grainOf, makeVmdk } from './test-vmdk.ts'
import { hostileVmdk, vmdkRefusals } from './test-vmdk-refusals.ts'
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

describe('a VMDK is refused with', () => {
  for (const row of vmdkRefusals) {
    test(`${row.row} ${row.what}`, () => {
      const file = hostileVmdk(row)
      assert.throws(
        () => decode(file, 4096),
        (error) => error instanceof ImagingError && error.code === 'FORMAT' && row.says.test(error.cause),
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
