import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  bootMediumBytes,
  emptyBootMediumArchive,
  kernelWordsFile,
  type RamdiskManifest,
} from '@byoi/contract'
import type { DebianFiles } from './debian/files.ts'

/** Every date in the ISO is 2000-01-01, for programs that read the environment in seconds. */
const epoch = { SOURCE_DATE_EPOCH: '946684800', TZ: 'UTC' }
/** The same as xorriso takes it. */
const date = '2000010100000000'
const wordsBytes = 1024
/** FAT for the firmware: room for shim and GRUB, which are 4 MB. */
const efiBytes = 10 * 1024 * 1024

const grubConfig = `serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
source /boot/grub/words.cfg
linux /boot/vmlinuz $words
initrd /boot/initrd /boot/medium.cpio
boot
`

/** Modules of GRUB for BIOS, built into the file that the CD boots. */
const biosModules =
  'biosdisk iso9660 part_msdos part_gpt normal linux echo configfile serial terminal search'.split(' ')

export interface IsoContent {
  vmlinuz: Buffer
  initrd: Buffer
  kernelWords: string
}

/**
 * Makes one ISO for virtual media: it boots on BIOS and UEFI, as a CD and as a USB stick, and with Secure Boot, for which Microsoft has
 * signed shim, and Debian GRUB and the kernel.
 *
 * @param work A directory for files in between.
 * @returns The places in it that differ from server to server.
 */
export async function makeIso(
  out: string,
  content: IsoContent,
  debian: DebianFiles,
  work: string,
): Promise<RamdiskManifest['iso']> {
  const tree = join(work, 'iso')
  const medium = emptyBootMediumArchive()
  const words = kernelWordsFile(content.kernelWords, wordsBytes)
  const files = {
    'boot/vmlinuz': content.vmlinuz,
    'boot/initrd': content.initrd,
    'boot/medium.cpio': medium,
    'boot/grub/grub.cfg': grubConfig,
    'boot/grub/words.cfg': words,
    // Debian's signed GRUB for CDs looks for the file system that holds this file.
    '.disk/info': 'byoi\n',
  }
  for (const [path, data] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true })
    await writeFile(join(tree, path), data)
  }
  await makeBiosLoader(join(tree, 'boot/grub/eltorito.img'), debian)
  const efi = join(work, 'efi.img')
  await makeEfiPartition(efi, debian)
  await debian.run('xorriso', isoArguments(out, tree, efi, debian), { env: epoch })
  return {
    medium: { offset: await findFile(out, '/boot/medium.cpio', medium, debian), length: bootMediumBytes },
    words: { offset: await findFile(out, '/boot/grub/words.cfg', words, debian), length: wordsBytes },
  }
}

async function makeBiosLoader(out: string, debian: DebianFiles): Promise<void> {
  const modules = debian.path('grub-pc-bin', 'usr/lib/grub/i386-pc')
  const args = ['-O', 'i386-pc-eltorito', '-d', modules, '-p', '/boot/grub', '-o', out, ...biosModules]
  await debian.run('grub-mkimage', args)
}

async function makeEfiPartition(image: string, debian: DebianFiles): Promise<void> {
  const shim = debian.path('shim-signed', 'usr/lib/shim/shimx64.efi.signed')
  const grub = debian.path('grub-efi-amd64-signed', 'usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed')
  await writeFile(image, Buffer.alloc(efiBytes))
  await debian.run('mkfs.fat', ['--invariant', '-n', 'BYOI', image], { env: epoch })
  const mtools = (command: string, ...args: string[]) =>
    debian.run('mtools', ['-c', command, '-i', image, ...args], { env: { ...epoch, MTOOLS_SKIP_CHECK: '1' } })
  await mtools('mmd', '::/EFI', '::/EFI/BOOT')
  await mtools('mcopy', shim, '::/EFI/BOOT/BOOTX64.EFI')
  await mtools('mcopy', grub, '::/EFI/BOOT/grubx64.efi')
}

function isoArguments(out: string, tree: string, efi: string, debian: DebianFiles): string[] {
  const bios = ['-b', 'boot/grub/eltorito.img', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table']
  const disk = [
    '--grub2-boot-info',
    '--grub2-mbr',
    debian.path('grub-pc-bin', 'usr/lib/grub/i386-pc/boot_hybrid.img'),
  ]
  const uefi = ['-append_partition', '2', '0xef', efi, '-eltorito-alt-boot']
  const uefiBoot = ['-e', '--interval:appended_partition_2:all::', '-no-emul-boot']
  const dates = [`--modification-date=${date}`, '--set_all_file_dates', date]
  return [
    '-as',
    'mkisofs',
    '-r',
    '-V',
    'BYOI',
    ...dates,
    ...bios,
    ...disk,
    ...uefi,
    ...uefiBoot,
    '-o',
    out,
    tree,
  ]
}

/** Offset of a file's data in the ISO, in bytes: its sectors have 2048. */
async function findFile(iso: string, path: string, data: Buffer, debian: DebianFiles): Promise<number> {
  const report = (
    await debian.run('xorriso', ['-indev', iso, '-find', path, '-exec', 'report_lba', '--'])
  ).toString()
  const lba = /File data lba:\s*\d+ ,\s*(\d+) ,/.exec(report)?.[1]
  const offset = Number(lba) * 2048
  if (lba === undefined || !(await readFile(iso)).subarray(offset, offset + data.length).equals(data))
    throw new Error(`xorriso put ${path} into the ISO at an unknown place: ${report.trim()}`)
  return offset
}
