import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  appendFileSync,
  openSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readQcow2Map } from './qcow2-map.ts'
import { openQcow2View } from './qcow2-view.ts'
import { drive, planned, sourceOf, unplanned } from './test-images.ts'

const missing = ['qemu-img', 'qemu-io'].find((tool) => spawnSync(tool, ['--version']).error)
const PIECES = [1, 511, 65537, 1 << 20]
/** Holds an ext2 file system without a partition table; see testdata/dfvfs. */
const EXT2 = join(import.meta.dirname, '../../testdata/dfvfs/ext2.qcow2')
const MiB = 1 << 20

let folder: string
let base: string

const qemu = (...args: string[]) => execFileSync('qemu-img', args, { stdio: ['ignore', 'pipe', 'pipe'] })
const io = (image: string, ...commands: string[]) =>
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), '--', image], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })

/** Puts what `qemu-img create -o` takes into a new image and writes into it as a guest does, in no order. */
function written(image: string, options: string, size = '6M'): void {
  qemu('create', '-q', '-f', 'qcow2', ...(options ? ['-o', options] : []), image, size)
  io(
    image,
    'write -P 17 3M 200k',
    'write -P 18 64k 300k',
    'write -P 19 5000k 3k',
    'write -z 100k 64k',
    'write -P 20 1M 5k',
    'discard 3100k 40k',
    'write -P 21 600k 513',
  )
}

const converted =
  (...args: string[]) =>
  (image: string) => {
    qemu('convert', '-q', '-f', 'raw', '-O', 'qcow2', ...args, base, image)
  }

const CASES: { name: string; make: (image: string) => void }[] = [
  { name: 'a straight conversion', make: converted() },
  { name: 'version 2', make: converted('-o', 'compat=0.10') },
  { name: 'out of order', make: converted('-W', '-m', '16') },
  ...['512', '1k', '4k', '128k', '2M'].map((size) => ({
    name: `clusters of ${size}`,
    make: converted('-o', `cluster_size=${size}`),
  })),
  ...['512', '4k', '64k', '2M'].map((size) => ({
    name: `zlib, clusters of ${size}`,
    make: converted('-c', '-o', `cluster_size=${size}`),
  })),
  ...['4k', '64k', '2M'].map((size) => ({
    name: `zstd, clusters of ${size}`,
    make: converted('-c', '-o', `compression_type=zstd,cluster_size=${size}`),
  })),
  { name: 'zlib, version 2', make: converted('-c', '-o', 'compat=0.10') },
  { name: 'zlib, extended L2', make: converted('-c', '-o', 'extended_l2=on,cluster_size=16k') },
  { name: 'extended L2, written', make: (image) => written(image, 'extended_l2=on,cluster_size=128k') },
  {
    name: 'extended L2, smallest clusters',
    make: (image) => written(image, 'extended_l2=on,cluster_size=16k'),
  },
  ...['metadata', 'falloc', 'full'].map((kind) => ({
    name: `preallocation=${kind}`,
    make: (image: string) => written(image, `preallocation=${kind}`),
  })),
  ...['1', '8', '64'].map((bits) => ({
    name: `refcounts of ${bits} bits`,
    make: (image: string) => written(image, `refcount_bits=${bits}`),
  })),
  { name: 'lazy refcounts', make: (image) => written(image, 'lazy_refcounts=on') },
  { name: 'lazy refcounts, not closed', make: notClosed },
  { name: 'written in clusters of 4k', make: (image) => written(image, 'cluster_size=4k') },
  { name: 'written in clusters of 512', make: (image) => written(image, 'cluster_size=512') },
  { name: 'version 2, written', make: (image) => written(image, 'compat=0.10,cluster_size=4k') },
  {
    name: 'a size that ends inside a cluster',
    make: (image) => written(image, 'cluster_size=64k', '5400064'),
  },
  { name: 'a compressed size that ends inside a cluster', make: oddCompressed },
  { name: 'with a snapshot, written on', make: snapshot },
  { name: 'with a deleted snapshot', make: deletedSnapshot },
  { name: 'with a bitmap', make: bitmap },
  { name: 'grown after use', make: grown },
  {
    name: 'shrunk after use',
    make: (image) => (written(image, 'cluster_size=4k'), qemu('resize', '-q', '--shrink', image, '4M')),
  },
  {
    name: 'compressed, then written',
    make: (image) => (converted('-c', '-o', 'cluster_size=4k')(image), overwrite(image)),
  },
  { name: 'compressed, snapshotted, then written', make: compressedSnapshot },
  { name: 'flattened', make: flattened },
  {
    name: 'with bytes behind its end',
    make: (image) => (written(image, ''), appendFileSync(image, 'trailing bytes')),
  },
  { name: 'with unknown compatible features', make: unknownFeatures },
  { name: 'from another project', make: (image) => copyFileSync(EXT2, image) },
  { name: 'empty', make: (image) => qemu('create', '-q', '-f', 'qcow2', image, '10M') },
  {
    name: 'huge and empty',
    make: (image) => qemu('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', image, '64M'),
  },
]

function overwrite(image: string): void {
  io(image, 'write -P 33 500k 100k', 'write -P 34 2M 70k', 'discard 1M 256k', 'write -P 35 5M 1k')
}

function notClosed(image: string): void {
  qemu('create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', image, '6M')
  spawnSync('qemu-io', [
    '-f',
    'qcow2',
    '-c',
    'write -P 7 1M 300k',
    '-c',
    'flush',
    '-c',
    'sigraise 9',
    '--',
    image,
  ])
  assert.equal(readFileSync(image).readUInt8(79) & 1, 1, 'the image is marked dirty')
}

function snapshot(image: string): void {
  written(image, 'cluster_size=4k')
  qemu('snapshot', '-c', 'one', image)
  overwrite(image)
}

function deletedSnapshot(image: string): void {
  snapshot(image)
  qemu('snapshot', '-d', 'one', image)
  io(image, 'write -P 40 3M 10k')
}

function compressedSnapshot(image: string): void {
  converted('-c')(image)
  qemu('snapshot', '-c', 'one', image)
  overwrite(image)
}

function bitmap(image: string): void {
  written(image, '')
  qemu('bitmap', '--add', '--enable', image, 'b0')
  io(image, 'write -P 41 2M 100k')
}

function grown(image: string): void {
  written(image, 'cluster_size=4k')
  qemu('resize', '-q', image, '1200M') // the L1 table outgrows its cluster and moves behind the data
  io(image, 'write -P 42 1100M 10k')
  qemu('resize', '-q', '--shrink', image, '8M')
}

function flattened(image: string): void {
  const lower = `${image}.lower`
  written(lower, '')
  qemu('create', '-q', '-f', 'qcow2', '-b', lower, '-F', 'qcow2', image)
  overwrite(image)
  qemu('rebase', '-f', 'qcow2', '-b', '', image)
}

function oddCompressed(image: string): void {
  const odd = `${image}.raw`
  qemu('convert', '-q', '-f', 'raw', '-O', 'raw', base, odd)
  truncateSync(odd, 5 * MiB + 17 * 512)
  qemu('convert', '-q', '-c', '-f', 'raw', '-O', 'qcow2', odd, image)
}

function unknownFeatures(image: string): void {
  written(image, '')
  const file = openSync(image, 'r+')
  writeSync(file, Buffer.from('7ffffffffffffffe', 'hex'), 0, 8, 80) // compatible_features
  closeSync(file)
}

describe('qcow2 as qemu-img and qemu-io make it', { skip: missing && `${missing} is not installed` }, () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'byoi-qcow2-'))
    base = join(folder, 'base.raw')
    const source = join(folder, 'source.qcow2')
    written(source, '')
    const text = join(folder, 'text')
    appendFileSync(
      text,
      Array.from({ length: 60000 }, (_, i) => `line ${i} ${Math.imul(i, 2654435761) >>> 0}\n`).join(''),
    )
    io(source, `write -s ${text} 1536k 1M`)
    qemu('convert', '-q', '-f', 'qcow2', '-O', 'raw', source, base)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const [number, { name, make }] of CASES.entries()) {
    test(`${name}: both decoders and the view give what qemu-img gives`, async () => {
      const image = join(folder, `${number}.qcow2`)
      const raw = join(folder, `${number}.raw`)
      make(image)
      qemu('convert', '-q', '-f', 'qcow2', '-O', 'raw', image, raw)
      const file = readFileSync(image)
      const expected = readFileSync(raw)
      assert.equal(expected.length, statSync(raw).size)
      for (const pieces of file.length > 400_000 ? PIECES.slice(1) : PIECES) {
        assert.ok(drive(await planned(file), file, pieces).equals(expected), `planned, pieces of ${pieces}`)
        assert.ok(drive(unplanned(file), file, pieces).equals(expected), `unplanned, pieces of ${pieces}`)
      }
      const held = { lookBehind: 0, chunked: true }
      assert.ok(
        drive(unplanned(file, held), file, 65537).equals(expected),
        'unplanned, no look-behind, length unknown',
      )
      const map = await readQcow2Map(sourceOf(file), { budgetBytes: 8 * MiB })
      assert.ok(map)
      const view = openQcow2View(sourceOf(file), map)
      assert.ok(Buffer.from(await view.read(0, view.virtualSize)).equals(expected), 'view, at once')
      for (const [offset, length] of [
        [511, 2],
        [65535, 70000],
        [2 * MiB - 5, 300000],
        [expected.length - 700, 700],
      ] as const) {
        assert.ok(
          Buffer.from(await view.read(offset, length)).equals(expected.subarray(offset, offset + length)),
        )
      }
      rmSync(image)
      rmSync(raw)
    })
  }
})
