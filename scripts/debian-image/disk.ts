/**
 * Puts a root file system and GRUB onto a disk image, bootable by UEFI also with Secure Boot, and by a BIOS where sectors have 512
 * bytes.
 */
import { open, truncate, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../run-command.ts'
import { findRoot, makeBiosLoader, signedLoaders } from './grub.ts'
import { rootLabel } from './root-tree.ts'

const mib = 1024 * 1024

export interface DiskLayout {
  table: 'gpt' | 'mbr'
  /** Of the disk that the image is for: a GPT counts in them. */
  sectorSize: 512 | 4096
}

/** A file with a file system; `bytes` is its size. */
export interface RootFileSystem {
  path: string
  bytes: number
}

/** Where things are, in bytes: the same in every layout, so that a root file system can be moved from one to another. */
const biosOffset = mib
const espOffset = 2 * mib
export const rootOffset = 48 * mib
/** Room for a backup GPT. */
const tailBytes = mib

/** Partition types: GPT of the UEFI specification, BIOS boot of GRUB, root (x86-64) of the Discoverable Partitions Specification. */
const types = {
  bios: '21686148-6449-6E6F-744E-656564454649',
  esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  root: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709',
}

function partitionScript({ table, sectorSize }: DiskLayout, rootBytes: number): string {
  const place = (from: number, bytes: number) => `start=${from / sectorSize}, size=${bytes / sectorSize}`
  const esp = place(espOffset, rootOffset - espOffset)
  const root = place(rootOffset, rootBytes)
  const lines =
    table === 'mbr'
      ? ['label: dos', `${esp}, type=ef`, `${root}, type=83, bootable`]
      : [
          'label: gpt',
          ...(sectorSize === 512
            ? [`${place(biosOffset, espOffset - biosOffset)}, type=${types.bios}, name=bios`]
            : []),
          `${esp}, type=${types.esp}, name=esp`,
          `${root}, type=${types.root}, name=root`,
        ]
  return `${lines.join('\n')}\n`
}

/** Copies a file into another at an offset in bytes, leaving holes where it is zero. */
async function place(target: FileHandle, offset: number, path: string): Promise<void> {
  const source = await open(path)
  const block = Buffer.alloc(mib)
  const zeros = Buffer.alloc(mib)
  try {
    for (let at = 0; ; ) {
      const { bytesRead } = await source.read(block, 0, block.length, at)
      if (bytesRead === 0) return
      const data = block.subarray(0, bytesRead)
      if (!data.equals(zeros.subarray(0, bytesRead))) await target.write(data, 0, bytesRead, offset + at)
      at += bytesRead
    }
  } finally {
    await source.close()
  }
}

async function makeEsp(work: string, sectorSize: number): Promise<string> {
  const esp = join(work, 'esp.fat')
  const config = join(work, 'grub.cfg')
  const { shim, grub } = await signedLoaders(work)
  await writeFile(config, findRoot(rootLabel))
  await command('truncate', ['-s', String(rootOffset - espOffset), esp])
  await command('mkfs.vfat', ['-S', String(sectorSize), '-n', 'ESP', esp])
  await command('mmd', ['-i', esp, '::/EFI', '::/EFI/BOOT', '::/EFI/debian'])
  await command('mcopy', ['-i', esp, shim, '::/EFI/BOOT/BOOTX64.EFI'])
  await command('mcopy', ['-i', esp, grub, '::/EFI/BOOT/grubx64.efi'])
  await command('mcopy', ['-i', esp, config, '::/EFI/debian/grub.cfg'])
  return esp
}

/** Makes a file system of the tree. */
export async function makeRoot(work: string, tree: string): Promise<RootFileSystem> {
  const path = join(work, 'root.ext4')
  const used = Number((await command('du', ['-s', '--block-size=1', tree])).toString().split('\t')[0])
  // A quarter more than the tree needs: ext4's own tables, and room until the root grows at the first boot.
  const bytes = Math.ceil((used * 1.25) / (64 * mib)) * 64 * mib
  await command('truncate', ['-s', String(bytes), path])
  const lazy = 'lazy_itable_init=1,lazy_journal_init=1'
  // GRUB 2.06 cannot read a file system whose checksum seed stands in the superblock. Blocks no smaller than any sector.
  const features = ['-b', '4096', '-O', '^metadata_csum_seed']
  await command('mke2fs', ['-q', '-t', 'ext4', '-L', rootLabel, ...features, '-E', lazy, '-d', tree, path])
  return { path, bytes }
}

/** Takes the root file system out of a raw disk image that `makeDisk` made. */
export async function takeRoot(work: string, raw: string): Promise<RootFileSystem> {
  const path = join(work, 'root.ext4')
  const file = await open(raw)
  const bytes = (await file.stat()).size - rootOffset - tailBytes
  await file.close()
  const range = ['bs=1M', 'iflag=skip_bytes,count_bytes', `skip=${rootOffset}`, `count=${bytes}`]
  await command('dd', [`if=${raw}`, `of=${path}`, ...range, 'conv=sparse', 'status=none'])
  await command('truncate', ['-s', String(bytes), path])
  return { path, bytes }
}

async function writeTable(path: string, layout: DiskLayout, script: string): Promise<void> {
  const write = (device: string) =>
    command('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', device], { input: script })
  if (layout.sectorSize === 512) {
    await write(path)
    return
  }
  // sfdisk asks the device for its sector size.
  const loop = ['--find', '--show', '--sector-size', String(layout.sectorSize), path]
  const device = (await command('losetup', loop)).toString().trim()
  try {
    await write(device)
  } finally {
    await command('losetup', ['--detach', device])
  }
}

/** Writes the disk image (raw, sparse). */
export async function makeDisk(
  path: string,
  root: RootFileSystem,
  work: string,
  layout: DiskLayout,
): Promise<void> {
  const disk = await open(path, 'w+')
  try {
    await truncate(path, rootOffset + root.bytes + tailBytes)
    await writeTable(path, layout, partitionScript(layout, root.bytes))
    if (layout.sectorSize === 512) {
      // With an MBR, GRUB lies in the gap before the first partition.
      const coreOffset = layout.table === 'gpt' ? biosOffset : 512
      const { bootCode, core } = await makeBiosLoader(work, findRoot(rootLabel), coreOffset / 512)
      await disk.write(bootCode, 0, bootCode.length, 0)
      await disk.write(core, 0, core.length, coreOffset)
    }
    await place(disk, espOffset, await makeEsp(work, layout.sectorSize))
    await place(disk, rootOffset, root.path)
  } finally {
    await disk.close()
  }
}
