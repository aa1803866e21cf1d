import assert from 'node:assert/strict'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeBootImage } from '../boot/testing/boot-images.ts'
import { lacks, MiB, needsRoot, run, scratch, usedLoop } from '../deploy-image.fixture.ts'
import { makeGpt } from '../table/testing/make-image.ts'
import { type BootTraces, bootTraces } from './boot-sectors.ts'

const esp = { 'EFI/BOOT/BOOTX64.EFI': Buffer.from('loader') }
const none: BootTraces = { mbrCode: false, table: 'none', esp: false, error: null }

const rows: [what: string, make: (folder: string) => Promise<string>, traces: Partial<BootTraces>][] = [
  [
    'GPT for both firmwares',
    (folder) => makeBootImage(folder, { table: 'gpt', esp, code: 'grub' }),
    { mbrCode: true, table: 'gpt', esp: true },
  ],
  [
    'GPT without boot code',
    (folder) => makeBootImage(folder, { table: 'gpt', esp, code: null }),
    { table: 'gpt', esp: true },
  ],
  [
    'GPT of data',
    (folder) => makeBootImage(folder, { table: 'gpt', esp: null, code: null }),
    { table: 'gpt' },
  ],
  [
    'MBR for both firmwares',
    (folder) => makeBootImage(folder, { table: 'mbr', esp, code: 'other' }),
    { mbrCode: true, table: 'mbr', esp: true },
  ],
  [
    'MBR of data',
    (folder) => makeBootImage(folder, { table: 'mbr', esp: null, code: null }),
    { table: 'mbr' },
  ],
  [
    'boot code without a signature',
    (folder) => makeBootImage(folder, { table: 'none', esp: null, code: 'other' }),
    {},
  ],
  [
    'GPT for sectors of 4096 bytes',
    (folder) => written(folder, makeGpt({ sectorSize: 4096 })),
    { table: 'gpt' },
  ],
  ['nothing', (folder) => written(folder, Buffer.alloc(MiB)), {}],
  ['a file shorter than a sector', (folder) => written(folder, Buffer.from([1, 2, 3])), {}],
  ['nothing at all', (folder) => written(folder, Buffer.alloc(0)), {}],
] // prettier-ignore

async function written(folder: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'disk')
  await writeFile(path, bytes)
  return path
}

for (const [what, make, traces] of rows) {
  test(`a disk with ${what} is seen as it is, and stays so`, {
    skip: lacks('sfdisk', 'mkfs.vfat', 'mcopy'),
  }, async () => {
    await using folder = await scratch()
    const path = await make(folder.path)
    const before = await readFile(path)
    assert.deepEqual(await bootTraces(path), { ...none, ...traces })
    assert.ok((await readFile(path)).equals(before))
  })
}

test('the file system of a whole disk is no partition table, though its boot sector is boot code', {
  skip: lacks('mkfs.vfat'),
}, async () => {
  await using folder = await scratch()
  const path = await written(folder.path, Buffer.alloc(MiB))
  await run('mkfs.vfat', [path])
  assert.deepEqual(await bootTraces(path), { ...none, mbrCode: true })
})

test('a disk that cannot be read is a value, not an exception', async () => {
  await using folder = await scratch()
  const path = await written(folder.path, Buffer.alloc(MiB))
  await rm(path)
  for (const each of [path, folder.path]) {
    const { error, ...traces } = await bootTraces(each)
    assert.match(error ?? '', /^The disk .* cannot be read: E[A-Z]+\.$/)
    assert.deepEqual({ ...traces, error: null }, none)
  }
})

test('a GPT header that points beyond all disks does no harm', async () => {
  await using folder = await scratch()
  const image = makeGpt({ primary: { entriesLba: 2 ** 52 } })
  image.fill(0xf4, 0, 440)
  const path = await written(folder.path, image)
  await truncate(path, 8 * MiB)
  assert.deepEqual(await bootTraces(path), { ...none, mbrCode: true, table: 'gpt' })
})

test('a device of 4096 byte sectors is read', { skip: needsRoot('losetup') }, async () => {
  await using folder = await scratch()
  const path = join(folder.path, 'disk')
  await using device = await usedLoop(path, 16 * MiB, 4096)
  await writeFile(device.path, makeGpt({ sectorSize: 4096 }))
  assert.deepEqual(await bootTraces(device.path), { ...none, table: 'gpt' })
})
