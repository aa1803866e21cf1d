/** Puts a root tree and GRUB onto a disk image with a GPT: BIOS boot, EFI system partition, root. Bootable by both firmwares. */
import { open, truncate, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../run-command.ts'
import { makeBiosLoader, makeEfiLoader } from './grub.ts'
import { rootLabel } from './root-tree.ts'

const mib = 1024 * 1024
const sector = 512
const layout = { biosLba: 2048, espLba: 4096, rootLba: 36_864, espBytes: 16 * mib }

/** Partition types: GPT of the UEFI specification, BIOS boot of GRUB, root (x86-64) of the Discoverable Partitions Specification. */
const types = {
  bios: '21686148-6449-6E6F-744E-656564454649',
  esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  root: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709',
}

const partitionScript = (rootSectors: number): string => `label: gpt
unit: sectors
start=${layout.biosLba}, size=${layout.espLba - layout.biosLba}, type=${types.bios}, name=bios
start=${layout.espLba}, size=${layout.espBytes / sector}, type=${types.esp}, name=esp
start=${layout.rootLba}, size=${rootSectors}, type=${types.root}, name=root
`

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

async function makeEsp(work: string): Promise<string> {
  const esp = join(work, 'esp.fat')
  const loader = await makeEfiLoader(work, rootLabel)
  await command('truncate', ['-s', String(layout.espBytes), esp])
  await command('mkfs.vfat', ['-n', 'ESP', esp])
  await command('mmd', ['-i', esp, '::/EFI', '::/EFI/BOOT'])
  await command('mcopy', ['-i', esp, loader, '::/EFI/BOOT/BOOTX64.EFI'])
  return esp
}

async function makeRoot(work: string, tree: string): Promise<{ path: string; bytes: number }> {
  const path = join(work, 'root.ext4')
  const used = Number((await command('du', ['-s', '--block-size=1', tree])).toString().split('\t')[0])
  // A quarter more than the tree needs: ext4's own tables, and room until the root grows at the first boot.
  const bytes = Math.ceil((used * 1.25) / (64 * mib)) * 64 * mib
  await command('truncate', ['-s', String(bytes), path])
  const lazy = 'lazy_itable_init=1,lazy_journal_init=1'
  // GRUB 2.06 cannot read a file system whose checksum seed stands in the superblock.
  const features = ['-O', '^metadata_csum_seed']
  await command('mke2fs', ['-q', '-t', 'ext4', '-L', rootLabel, ...features, '-E', lazy, '-d', tree, path])
  return { path, bytes }
}

/** Writes the disk image (raw, sparse) from the root tree. */
export async function makeDisk(path: string, tree: string, work: string): Promise<void> {
  const root = await makeRoot(work, tree)
  const esp = await makeEsp(work)
  const { bootCode, core } = await makeBiosLoader(work, rootLabel, layout.biosLba)
  const disk = await open(path, 'w+')
  try {
    await truncate(path, layout.rootLba * sector + root.bytes + mib)
    await command('sfdisk', ['-q', '--no-reread', '--no-tell-kernel', path], {
      input: partitionScript(root.bytes / sector),
    })
    await disk.write(bootCode, 0, bootCode.length, 0)
    await disk.write(core, 0, core.length, layout.biosLba * sector)
    await place(disk, layout.espLba * sector, esp)
    await place(disk, layout.rootLba * sector, root.path)
  } finally {
    await disk.close()
  }
}
