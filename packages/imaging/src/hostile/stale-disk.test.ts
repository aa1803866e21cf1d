import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  type ImageFormat,
  lacks,
  makeImage,
  MiB,
  needsRoot,
  options,
  readAt,
  scratch,
  serve,
  usedLoop,
} from '../deploy-image.fixture.ts'
import { deployImage } from '../deploy-image.ts'
import type { DeployResult, ImageType } from '../deploy-image.types.ts'

const IMAGE = 9 * MiB
const DISK = 12 * MiB
/** Of `makeRaw`: what has data, in the blocks in which zeros are looked for. */
const MOST_WRITTEN = 6 * MiB

/** Those whose runs fill no block, or that end inside one. `deploy-image.test.ts` has more, onto files. */
const formats: (Omit<ImageFormat, 'size'> & { name: string; size?: number })[] = [
  { name: 'raw that ends in a sector', type: 'raw', convert: null, size: IMAGE - 1213 },
  { name: 'qcow2 in clusters of 512 bytes', type: 'qcow2', convert: ['-o', 'cluster_size=512'] },
  { name: 'qcow2 in clusters of 4 KiB', type: 'qcow2', convert: ['-o', 'cluster_size=4k'] },
  { name: 'qcow2 in subclusters', type: 'qcow2', convert: ['-o', 'extended_l2=on,cluster_size=64k'] },
  { name: 'zlib qcow2 in clusters of 4 KiB', type: 'qcow2', convert: ['-c', '-o', 'cluster_size=4k'] },
  {
    name: 'vmdk that ends inside a grain',
    type: 'vmdk',
    convert: ['-o', 'subformat=streamOptimized'],
    size: IMAGE - 512,
  },
]

type Way = 'by Range' | 'as a stream' | 'in chunks'

interface Target {
  sectorSize: 512 | 4096
  /** Without fallocate no device can be asked to zero itself, so that zeros must be sent. */
  zeroesItself: boolean
}

const targets: Target[] = [
  { sectorSize: 512, zeroesItself: true },
  { sectorSize: 512, zeroesItself: false },
  { sectorSize: 4096, zeroesItself: false },
]

async function deploy(
  image: string,
  type: ImageType,
  way: Way,
  target: Target,
  path: string,
): Promise<DeployResult> {
  await using server = await serve(image, { ranges: way === 'by Range', chunked: way === 'in chunks' })
  const value = createHash('sha256')
    .update(await readFile(image))
    .digest('hex')
  const { PATH } = process.env
  if (!target.zeroesItself) process.env['PATH'] = '/nowhere'
  try {
    return await deployImage(options({ url: server.url, type, checkSum: { type: 'sha256', value } }, path))
  } finally {
    process.env['PATH'] = PATH
  }
}

describe('on a device full of old data', {
  skip: needsRoot('losetup', 'fallocate') || lacks('qemu-img'),
}, () => {
  for (const format of formats) {
    test(`a ${format.name} reads zero where it says so, and only its data was sent`, async () => {
      await using folder = await scratch()
      const { raw, image } = await makeImage(folder.path, { size: IMAGE, ...format })
      const content = await readFile(raw)
      const rounded = Buffer.concat([content], Math.ceil(content.length / 512) * 512)
      const ways: Way[] = [
        'by Range',
        'as a stream',
        ...(format.type === 'raw' ? ['in chunks' as const] : []),
      ]
      for (const target of targets) {
        for (const way of ways) {
          const store = join(folder.path, 'disk')
          await using disk = await usedLoop(store, DISK, target.sectorSize)
          const { written } = await deploy(image, format.type, way, target, disk.path)
          const told = `${way}, ${JSON.stringify(target)}`
          assert.ok(
            (await readAt(disk.path, 0, rounded.length)).equals(rounded),
            `old data shows through ${told}`,
          )
          assert.ok(
            (await readAt(disk.path, DISK - MiB, MiB)).every((byte) => byte === 0),
            `the end is not zero ${told}`,
          )
          assert.ok(written <= MOST_WRITTEN, `${written} bytes were written ${told}`)
          // How far an image in chunks reaches is known at its end only, so that its zeros are sent.
          if (!target.zeroesItself || way === 'in chunks') continue
          const behind = DISK - MiB - IMAGE // which nothing refers to
          assert.ok(
            (await stat(store)).blocks * 512 <= MOST_WRITTEN + behind + MiB,
            `zeros take space ${told}`,
          )
        }
      }
    })
  }
})
