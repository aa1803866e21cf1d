import assert from 'node:assert/strict'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB, needsRoot, readAt, run, scratch, usedDisk, usedLoop } from '../deploy-image.fixture.ts'
import { ImagingError } from '../error.ts'
import { Disk } from './disk.ts'
import { inspectDisk } from './inspect-disk.ts'

const refusedAs = (name: string) => (error: unknown) =>
  error instanceof ImagingError && error.code === 'DISK' && error.cause.includes(name)

test('a file that took the place of the one that was inspected is not opened', async () => {
  await using folder = await scratch()
  const path = await usedDisk(join(folder.path, 'disk'), 4 * MiB)
  const facts = { ...(await inspectDisk({ path })), size: 4 * MiB }
  await (await Disk.open(facts, 4 * MiB)).close()
  await rename(await usedDisk(join(folder.path, 'other'), 4 * MiB), path)
  await assert.rejects(Disk.open(facts, 4 * MiB), refusedAs(path))
  assert.ok((await readAt(path, 0, MiB)).every((byte) => byte === 0xff))
})

test('a new file has no place to lose', async () => {
  await using folder = await scratch()
  const path = join(folder.path, 'new')
  const facts = { ...(await inspectDisk({ path, size: 4 * MiB })), size: 4 * MiB }
  await writeFile(path, '')
  await (await Disk.open(facts, 4 * MiB)).close()
})

test('row 99: a device whose name has moved between preflight and write is not opened', {
  skip: needsRoot('losetup', 'ln'),
}, async () => {
  await using folder = await scratch()
  await using one = await usedLoop(join(folder.path, 'one'), 4 * MiB, 512)
  await using two = await usedLoop(join(folder.path, 'two'), 4 * MiB, 512)
  const path = join(folder.path, 'by-id')
  await run('ln', ['-s', one.path, path])
  const facts = { ...(await inspectDisk({ path })), size: 4 * MiB }
  await run('ln', ['-sfn', two.path, path])
  await assert.rejects(Disk.open(facts, 4 * MiB), refusedAs(path))
  assert.ok((await readAt(two.path, 0, MiB)).every((byte) => byte === 0xff))
})

test('row 99: a device that is swapped on is refused', {
  skip: needsRoot('losetup', 'mkswap', 'swapon'),
}, async () => {
  await using folder = await scratch()
  await using device = await usedLoop(join(folder.path, 'disk'), 4 * MiB, 512)
  await run('mkswap', [device.path])
  await run('swapon', [device.path])
  try {
    await assert.rejects(inspectDisk(device), refusedAs('swapped on'))
  } finally {
    await run('swapoff', [device.path])
  }
  await inspectDisk(device)
})

test('row 99: a device that a volume, an array or an encrypted device is built on is refused', {
  skip: needsRoot('losetup', 'dmsetup'),
}, async (t) => {
  await using folder = await scratch()
  await using device = await usedLoop(join(folder.path, 'disk'), 4 * MiB, 512)
  const name = `byoi-test-${process.pid}`
  const built = await run('dmsetup', ['create', name, '--table', `0 4096 linear ${device.path} 0`]).catch(
    () => null,
  )
  if (built === null) return t.skip('the kernel has no device mapper')
  try {
    await assert.rejects(inspectDisk(device), refusedAs('is built on it'))
  } finally {
    await run('dmsetup', ['remove', name])
  }
  await inspectDisk(device)
})
