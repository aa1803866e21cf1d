/** Images whose tables come long after the data that they place, because they were used since they were made. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { copyFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  lacks,
  MiB,
  needsRoot,
  options,
  readAt,
  run,
  scratch,
  serve,
  usedDisk,
  usedLoop,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import { ImagingError } from './error.ts'

const SIZE = 48 * MiB
/** So that most of each image has to wait on the disk. */
const SPOOL = 4 * MiB
const noQemu = lacks('qemu-img', 'qemu-io')

interface Used {
  name: string
  create?: string[]
  /** Commands of qemu-io on the new image, what is done to it then, and commands again. `@`: a file of 8 MiB of noise. */
  first: string[]
  change?: (image: string) => Promise<unknown>
  last?: string[]
  /** Of the image in the end; default 48 MiB. */
  size?: number
  /** What the disk has beside: clusters that lie in disorder need some. */
  room?: number
}

const write = (at: number, length: number, flags = '') => `write ${flags} -s @ ${at * MiB} ${length * MiB}`
const filled = [write(0, 8), write(10, 8), write(20, 8), write(35, 8), write(45, 3)]
const snapshot = (image: string) => run('qemu-img', ['snapshot', '-c', 'one', image])
const unsnapshot = (image: string) => run('qemu-img', ['snapshot', '-d', 'one', image])
const grown = (image: string, size: string) => run('qemu-img', ['resize', '-q', '-f', 'qcow2', image, size])

const images: Used[] = [
  {
    name: 'with a snapshot',
    first: filled,
    change: snapshot,
    last: [write(1, 8), write(22, 8), write(40, 8)],
  },
  {
    name: 'after a snapshot was deleted',
    first: filled,
    change: async (image) => {
      await snapshot(image)
      await run('qemu-io', ['-f', 'qcow2', '-c', `write -P 7 ${2 * MiB} ${25 * MiB}`, image])
      await unsnapshot(image)
    },
    last: [write(30, 6)],
  },
  { name: 'trimmed', first: filled, last: [`discard ${4 * MiB} ${20 * MiB}`, write(5, 5), write(25, 8)] },
  {
    name: 'grown, with all of its tables of tables behind',
    first: [...filled, write(8, 2)],
    change: (image) => grown(image, '70G'),
    size: 70 * 1024 * MiB,
  },
  {
    name: 'of clusters of 4 KiB, with a snapshot',
    create: ['-o', 'cluster_size=4k'],
    first: filled,
    change: snapshot,
    last: [write(1, 8), write(22, 8)],
  },
  {
    name: 'of compressed clusters, with a snapshot',
    first: [0, 8, 16, 24, 32, 40].map((at) => write(at, 8, '-c')),
    change: snapshot,
    last: [`write -P 9 ${MiB} 65536`, `write -P 9 ${47 * MiB} 65536`],
    room: 32 * MiB,
  },
]

/** Half of each cluster is noise, so that it can be compressed, but not much. */
function noise(): Buffer {
  const bytes = randomBytes(8 * MiB)
  for (let at = 0; at < bytes.length; at += 4096) bytes.fill('text', at, at + 2048)
  return bytes
}

async function imageOf(folder: string, used: Used): Promise<{ image: string; raw: string }> {
  const image = join(folder, 'image')
  await writeFile(join(folder, 'noise'), noise())
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', ...(used.create ?? []), image, String(SIZE)])
  const io = async (commands: string[]) => {
    const args = commands.flatMap((each) => ['-c', each.replace('@', join(folder, 'noise'))])
    await run('qemu-io', ['-f', 'qcow2', '-d', 'unmap', ...args, image])
  }
  await io(used.first)
  await used.change?.(image)
  if (used.last) await io(used.last)
  const raw = join(folder, 'judged')
  await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw])
  return { image, raw }
}

async function assertSame(disk: string, raw: string): Promise<void> {
  const size = Math.min((await stat(raw)).size, SIZE)
  await run('cmp', ['-n', String(size), disk, raw])
}

for (const used of images) {
  test(`an image ${used.name} arrives by Range and without, on a used disk`, {
    skip: noQemu,
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await imageOf(folder.path, used)
    await using ranged = await serve(image)
    await using plain = await serve(image, { ranges: false })
    const size = (used.size ?? SIZE) + (used.room ?? 0)
    const checkSum = await sha256(image)
    for (const url of [ranged.url, plain.url]) {
      const path = join(folder.path, 'disk')
      if (used.size === undefined) await usedDisk(path, size)
      const disk = { path, size }
      const result = await deployImage(
        options({ url, type: 'qcow2', checkSum }, path, { disk, spoolBytes: SPOOL }),
      )
      assert.equal(result.disk, 'complete')
      await assertSame(path, raw)
    }
  })

  test(`an image ${used.name} arrives as a stream on used devices`, {
    skip:
      noQemu || needsRoot('losetup', 'fallocate') || (used.size !== undefined && 'larger than devices here'),
  }, async () => {
    await using folder = await scratch()
    const { image, raw } = await imageOf(folder.path, used)
    await using plain = await serve(image, { ranges: false })
    for (const { sectorSize, size, path } of [
      { sectorSize: 4096, size: 3 * SIZE, path: process.env['PATH'] },
      { sectorSize: 512, size: SIZE + (used.room ?? 0), path: '/nowhere' }, // without fallocate, zeros must be written
    ]) {
      await using device = await usedLoop(join(folder.path, 'disk'), size, sectorSize)
      const kept = process.env['PATH']
      process.env['PATH'] = path
      const result = await deployImage(
        options({ url: plain.url, type: 'qcow2' }, device.path, { spoolBytes: SPOOL }),
      ).finally(() => (process.env['PATH'] = kept))
      assert.equal(result.disk, 'complete')
      await assertSame(device.path, raw)
    }
  })
}

async function sha256(path: string): Promise<{ type: 'sha256'; value: string }> {
  const { stdout } = await run('sha256sum', [path])
  return { type: 'sha256', value: stdout.slice(0, 64) }
}

test('an image that is full and out of place to its last cluster needs no room beside its own', {
  skip: noQemu,
}, async () => {
  await using folder = await scratch()
  const used = { name: '', first: [0, 8, 16, 24, 32, 40].map((at) => write(at, 8)) }
  const { image, raw } = await imageOf(folder.path, used)
  await tablesLast(image)
  await using plain = await serve(image, { ranges: false })
  const path = await usedDisk(join(folder.path, 'disk'), SIZE)
  await deployImage(options({ url: plain.url, type: 'qcow2' }, path, { spoolBytes: SPOOL }))
  await assertSame(path, raw)
})

test('where neither memory nor the disk has room, the error says so and nothing boots', {
  skip: noQemu,
}, async () => {
  await using folder = await scratch()
  const first = [0, 8, 16, 24, 32, 40].map((at) => write(at, 8))
  const { image } = await imageOf(folder.path, { name: '', first })
  // Two disks' worth of clusters that no table needs stand before the tables.
  const padded = join(folder.path, 'padded')
  await copyFile(image, padded)
  await run('qemu-img', ['snapshot', '-c', 'one', padded])
  const more = first.flatMap((each) => ['-c', each.replace('@', join(folder.path, 'noise'))])
  await run('qemu-io', ['-f', 'qcow2', ...more, padded])
  await run('qemu-img', ['snapshot', '-c', 'two', padded])
  await run('qemu-io', ['-f', 'qcow2', ...more, padded])
  await tablesLast(padded)
  await using plain = await serve(padded, { ranges: false })
  const path = await usedDisk(join(folder.path, 'disk'), SIZE)
  await assert.rejects(
    deployImage(options({ url: plain.url, type: 'qcow2' }, path, { spoolBytes: SPOOL })),
    (error) => {
      assert.ok(error instanceof ImagingError)
      assert.equal(error.code, 'RAM')
      assert.match(error.cause, /nor the free part of the disk/)
      assert.equal(error.disk, 'unbootable')
      return true
    },
  )
  assert.ok((await readAt(path, 0, MiB)).every((byte) => byte === 0))
  assert.ok((await readAt(path, SIZE - MiB, MiB)).every((byte) => byte === 0))
})

/** Moves the L1 table of a small image to the end of the file, by hand. */
async function tablesLast(image: string): Promise<void> {
  const bytes = await readFile(image)
  const entries = bytes.readUInt32BE(36)
  const at = Number(bytes.readBigUInt64BE(40))
  const table = Buffer.alloc(65536)
  bytes.copy(table, 0, at, at + 8 * entries)
  const end = Math.ceil(bytes.length / 65536) * 65536
  bytes.writeBigUInt64BE(BigInt(end), 40)
  await writeFile(image, Buffer.concat([bytes, Buffer.alloc(end - bytes.length), table]))
}
