/** Disks whose last partition grew, as sfdisk, sgdisk, parted and resize2fs see them. */
import assert from 'node:assert/strict'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  configDrive,
  lacks,
  MiB,
  needsRoot,
  options,
  readAt,
  run,
  scratch,
  usedLoop,
} from './deploy-image.fixture.ts'
import { deployImage } from './deploy-image.ts'
import { ImagingError } from './error.ts'

const IMAGE = 32 * MiB

interface Partition {
  number: number
  start: number
  size: number
}

async function partitions(path: string): Promise<Partition[]> {
  const { partitiontable } = JSON.parse((await run('sfdisk', ['--json', path])).stdout)
  return partitiontable.partitions.map(({ node, start, size }: Record<string, string | number>) => ({
    number: Number(/\d+$/.exec(String(node))?.[0]),
    start,
    size,
  }))
}

/** As `partitions`, read by parted, which counts in bytes. */
async function byParted(path: string, sectorSize: number): Promise<Partition[]> {
  const { stdout } = await run('parted', ['-m', '-s', path, 'unit', 'B', 'print'])
  return stdout
    .split('\n')
    .filter((line) => /^\d+:/.test(line))
    .map((line) => {
      const [number = 0, start = 0, , size = 0] = line.split(':').map((each) => Number.parseInt(each, 10))
      return { number, start: start / sectorSize, size: size / sectorSize }
    })
}

async function sfdisk(disk: string, script: string): Promise<void> {
  const running = run('sfdisk', ['-q', '--wipe=never', disk])
  running.child.stdin?.end(script)
  await running
}

/** An image with an ext4 file system in the partition at 8 MiB, which is number 1 and ends last. */
async function makeImage(folder: string, script: string, sectorSize: number): Promise<string> {
  const image = join(folder, 'image')
  await writeFile(image, '')
  await truncate(image, IMAGE)
  if (sectorSize === 512) await sfdisk(image, script)
  else {
    const loop = ['--find', '--show', '--sector-size', String(sectorSize), image]
    const device = (await run('losetup', loop)).stdout.trim()
    try {
      await sfdisk(device, script)
    } finally {
      await run('losetup', ['--detach', device])
    }
  }
  const fileSystem = ['-q', '-F', '-b', '4096', '-E', `offset=${8 * MiB}`]
  await run('mkfs.ext4', [...fileSystem, image, String((20 * MiB) / 4096)])
  return image
}

const gpt = (sectorSize: number) =>
  [
    'label: gpt',
    `start=${(8 * MiB) / sectorSize}, size=${(20 * MiB) / sectorSize}`,
    `start=${(2 * MiB) / sectorSize}, size=${(4 * MiB) / sectorSize}, name=boot`,
  ].join('\n')
const mbr = 'label: dos\nstart=16384, size=40960, type=83, bootable\nstart=4096, size=8192, type=ef\n'

const rows = [
  { name: 'GPT', script: gpt(512), sectorSize: 512, end: 99 },
  { name: 'GPT with a config drive', script: gpt(512), sectorSize: 512, configDrive, end: 35 },
  { name: 'GPT of 4096 byte sectors', script: gpt(4096), sectorSize: 4096, end: 99 },
  { name: 'MBR', script: mbr, sectorSize: 512, end: 100 },
  { name: 'MBR with a config drive', script: mbr, sectorSize: 512, configDrive, end: 35 },
]

for (const { name, script, sectorSize, end, configDrive: drive } of rows) {
  test(`The last partition of a ${name} grows, and its file system can follow.`, {
    skip: needsRoot('sfdisk', 'sgdisk', 'parted', 'losetup', 'mkfs.ext4', 'resize2fs', 'e2fsck'),
  }, async () => {
    await using folder = await scratch()
    const image = await makeImage(folder.path, script, sectorSize)
    await using device = await usedLoop(join(folder.path, 'disk'), 100 * MiB, sectorSize)
    const { notes } = await deployImage(
      options({ url: image }, device.path, {
        dataDisk: false,
        growLastPartition: true,
        ...(drive ? { configDrive: drive } : {}),
      }),
    )
    assert.match(notes.join('\n'), /Partition 1 was grown from 20971520 to \d+ bytes/)

    const found = await partitions(device.path)
    const byteAt = (sectors: number) => (sectors * sectorSize) / MiB
    const [grown, boot, added] = found.map(({ start, size }) => [byteAt(start), byteAt(start + size)])
    const driveAt = added?.[0] ?? end
    assert.deepEqual([grown?.[0], boot], [8, [2, 6]])
    assert.equal(grown?.[1], drive ? driveAt : end)
    assert.equal(found.length, drive ? 3 : 2)
    assert.deepEqual(
      (await byParted(device.path, sectorSize)).toSorted((a, b) => a.number - b.number),
      found.toSorted((a, b) => a.number - b.number),
    )
    assert.match((await run('sfdisk', ['--verify', device.path])).stdout, /No errors detected/)
    if (script !== mbr) assert.match((await run('sgdisk', ['-v', device.path])).stdout, /No problems found/)

    const last = await readAt(device.path, ((grown?.[1] ?? 0) - 1) * MiB, MiB)
    assert.ok(
      last.every((byte) => byte === 0),
      "an earlier owner's data is at the end of the grown partition",
    )
    await assertResizes(device.path, 8 * MiB, ((grown?.[1] ?? 0) - 8) * MiB)
  })
}

/** The file system at `offset` takes the whole partition. */
async function assertResizes(disk: string, offset: number, length: number): Promise<void> {
  const range = ['--offset', String(offset), '--sizelimit', String(length)]
  const partition = (await run('losetup', ['--find', '--show', ...range, disk])).stdout.trim()
  try {
    await run('e2fsck', ['-f', '-p', partition])
    await run('resize2fs', [partition])
    await run('e2fsck', ['-f', '-n', partition])
    const { stdout } = await run('dumpe2fs', ['-h', partition])
    assert.equal(Number(/^Block count: +(\d+)/m.exec(stdout)?.[1]) * 4096, length)
  } finally {
    await run('losetup', ['--detach', partition])
  }
}

test('An image whose last partition cannot grow is refused with the disk untouched.', {
  skip: lacks('sfdisk', 'mkfs.ext4'),
}, async () => {
  await using folder = await scratch()
  const extended =
    'label: dos\nstart=2048, size=1024\nstart=4096, size=57344, type=f\nstart=16384, size=40960\n'
  const image = await makeImage(folder.path, extended, 512)
  const path = join(folder.path, 'disk')
  await writeFile(path, Buffer.alloc(40 * MiB, 0xff))
  await assert.rejects(
    deployImage(options({ url: image }, path, { dataDisk: false, growLastPartition: true })),
    (error) => {
      assert.ok(error instanceof ImagingError)
      assert.deepEqual([error.code, error.disk], ['GPT', 'untouched'])
      return true
    },
  )
  assert.ok((await readAt(path, 0, 40 * MiB)).every((byte) => byte === 0xff))
})
