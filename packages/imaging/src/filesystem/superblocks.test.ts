import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lacking, runTool } from '../table/testing/run-tool.ts'
import { identifyVolume, type VolumeIdentity } from './superblocks.ts'
import { inScratch, volumeOf } from './testing/volumes.ts'

const MiB = 1024 * 1024

/** Bytes of the volume that `make` writes to a file, and what util-linux's blkid says of it. */
function made(size: number, make: (image: string, directory: string) => void) {
  let judged = ''
  let label = ''
  const bytes = inScratch(size, (image, directory) => {
    make(image, directory)
    judged = runTool('blkid', ['-p', '-o', 'export', image])
    label = runTool('blkid', ['-p', '-o', 'value', '-s', 'LABEL', image]).trim()
  })
  const of = (key: string): string | null => new RegExp(`^${key}=(.*)$`, 'm').exec(judged)?.[1] ?? null
  const type = of('TYPE') === 'vfat' ? of('VERSION')?.toLowerCase() : of('TYPE')
  const utf8 = Buffer.from(label, 'latin1').toString()
  return { bytes, judged: { type, label: utf8 || null, uuid: of('UUID') } }
}

const uuid = '6f3c9a52-1d7e-4b80-9a41-0c5d2e8f7b36'
const rows: [name: string, size: number, tool: string, args: (image: string) => string[]][] = [
  ['ext2', 4 * MiB, 'mke2fs', (image) => ['-q', '-t', 'ext2', '-L', 'two', image]],
  ['ext3', 16 * MiB, 'mke2fs', (image) => ['-q', '-t', 'ext3', '-L', 'three', '-U', uuid, image]],
  ['ext4', 16 * MiB, 'mke2fs', (image) => ['-q', '-t', 'ext4', '-L', 'größer 16 Byte', image]],
  ['ext4 without a journal', 4 * MiB, 'mke2fs', (image) => ['-q', '-t', 'ext4', '-O', '^has_journal', image]],
  ['ext4 without a label', 16 * MiB, 'mke2fs', (image) => ['-q', '-t', 'ext4', image]],
  ['FAT12', MiB, 'mkfs.vfat', (image) => ['-F', '12', '-n', 'TWELVE', '-i', '0012abcd', image]],
  ['FAT16', 16 * MiB, 'mkfs.vfat', (image) => ['-F', '16', '-n', 'SIXTEEN', image]],
  ['FAT32', 40 * MiB, 'mkfs.vfat', (image) => ['-F', '32', '-n', 'ESP', image]],
  ['FAT32 without a label', 40 * MiB, 'mkfs.vfat', (image) => ['-F', '32', image]],
  ['FAT in sectors of 4096 bytes', 40 * MiB, 'mkfs.vfat', (image) => ['-S', '4096', '-n', 'BIG', image]],
  ['xfs', 320 * MiB, 'mkfs.xfs', (image) => ['-q', '-L', 'xfs root', '-m', `uuid=${uuid}`, image]],
  ['btrfs', 120 * MiB, 'mkfs.btrfs', (image) => ['-q', '-L', 'a label of btrfs, longer than others', image]],
  ['NTFS', 8 * MiB, 'mkfs.ntfs', (image) => ['-q', '-F', '-Q', '-L', 'Windows – Größe', image]],
  ['NTFS without a label', 8 * MiB, 'mkfs.ntfs', (image) => ['-q', '-F', '-Q', image]],
  ['swap', 8 * MiB, 'mkswap', (image) => ['-L', 'swapper', '-U', uuid, image]],
  ['swap in pages of 64 KiB', 8 * MiB, 'mkswap', (image) => ['-p', '65536', image]],
]

for (const [name, size, tool, args] of rows) {
  test(`${name} is what blkid says it is`, { skip: lacking(tool, 'blkid') }, async () => {
    const { bytes, judged } = made(size, (image) => runTool(tool, args(image)))
    assert.deepEqual(await identifyVolume(volumeOf(bytes)), judged)
  })
}

for (const version of ['luks1', 'luks2']) {
  test(`${version} is what blkid says it is`, { skip: lacking('cryptsetup', 'blkid') }, async () => {
    const { bytes, judged } = made(20 * MiB, (image, directory) => {
      const key = join(directory, 'key')
      writeFileSync(key, 'secret')
      const label = version === 'luks2' ? ['--label', 'vault'] : []
      const quick = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
      runTool('cryptsetup', ['-q', 'luksFormat', '--type', version, ...label, ...quick, image, key])
    })
    assert.equal(judged.type, 'crypto_LUKS')
    assert.deepEqual(await identifyVolume(volumeOf(bytes)), judged)
  })
}

const noLoop = lacking('pvcreate', 'losetup', 'blkid') || (process.getuid?.() !== 0 && 'needs root')

test('an LVM2 physical volume is what blkid says it is', { skip: noLoop }, async () => {
  const { bytes, judged } = made(8 * MiB, (image) => {
    const device = runTool('losetup', ['--find', '--show', '--', image]).trim()
    try {
      runTool('pvcreate', ['-q', '--config', 'devices { use_devicesfile=0 }', device])
    } finally {
      runTool('losetup', ['--detach', device])
    }
  })
  assert.equal(judged.type, 'LVM2_member')
  assert.deepEqual(await identifyVolume(volumeOf(bytes)), judged)
})

test('ISO 9660 is what blkid says it is', { skip: lacking('genisoimage', 'blkid') }, async () => {
  const { bytes, judged } = made(0, (image, directory) => {
    const files = join(directory, 'files')
    mkdirSync(files)
    writeFileSync(join(files, 'meta_data.json'), '{}')
    runTool('genisoimage', ['-quiet', '-R', '-V', 'config-2', '-o', image, files])
  })
  assert.equal(judged.label, 'config-2')
  assert.deepEqual(await identifyVolume(volumeOf(bytes)), judged)
})

test('what is none of them, or too short to be one, is nothing', async () => {
  for (const bytes of [Buffer.alloc(MiB), Buffer.alloc(0), Buffer.alloc(512, 0xff), Buffer.from('XFS')])
    assert.equal(await identifyVolume(volumeOf(bytes)), null)
})

test('a superblock that leads outside its volume has a type, and neither label nor uuid', async () => {
  const lvm = Buffer.alloc(4096)
  lvm.write('LABELONE', 512)
  lvm.writeUInt32LE(0xffff_ffff, 512 + 20)
  lvm.write('LVM2 001', 512 + 24)
  const ntfs = Buffer.alloc(4096)
  ntfs.write('NTFS    ', 3)
  ntfs.writeUInt16LE(512, 11)
  ntfs.writeUInt8(8, 13)
  ntfs.writeBigUInt64LE(2n ** 63n, 48)
  ntfs.writeInt8(-10, 64)
  const expected: [Buffer, Partial<VolumeIdentity>][] = [
    [lvm, { type: 'LVM2_member', label: null, uuid: null }],
    [ntfs, { type: 'ntfs', label: null }],
  ]
  for (const [bytes, identity] of expected) {
    const found = await identifyVolume(volumeOf(bytes))
    assert.deepEqual({ ...found, ...identity }, found)
  }
})
