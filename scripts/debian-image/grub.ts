/** GRUB for both firmwares, put into plain files: no loop device, no mount, no grub-install. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../run-command.ts'

const modules =
  'part_gpt part_msdos ext2 fat normal linux echo configfile serial terminal search search_label test sleep reboot halt'
const grubDirectory = '/usr/lib/grub'

/** Files of Debian's packages that this needs, beside `grub-mkimage`. */
export const grubFiles = {
  [`${grubDirectory}/i386-pc/boot.img`]: 'grub-pc-bin',
  [`${grubDirectory}/x86_64-efi/normal.mod`]: 'grub-efi-amd64-bin',
} as const

const earlyConfig = (rootLabel: string): string => `search --no-floppy --label ${rootLabel} --set=root
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
`

async function makeImage(work: string, format: string, extra: string[], rootLabel: string): Promise<string> {
  const early = join(work, 'early.cfg')
  await writeFile(early, earlyConfig(rootLabel))
  const out = join(work, `grub-${format}`)
  const args = ['-O', format, '-p', '/boot/grub', '-c', early, '-o', out, ...modules.split(' '), ...extra]
  await command('grub-mkimage', args)
  return out
}

/** The UEFI loader, a file for `EFI/BOOT/BOOTX64.EFI`. Gives its path. */
export const makeEfiLoader = (work: string, rootLabel: string): Promise<string> =>
  makeImage(work, 'x86_64-efi', ['all_video'], rootLabel)

export interface BiosLoader {
  /** The first 440 bytes of the disk. */
  bootCode: Buffer
  /** For the BIOS boot partition, which begins at LBA `coreLba`. */
  core: Buffer
}

/**
 * What grub-bios-setup would write for a core image at LBA `coreLba`. Offsets: GRUB 2.06,
 * include/grub/i386/pc/boot.h (GRUB_BOOT_MACHINE_KERNEL_SECTOR 0x5c, DRIVE_CHECK 0x66) and the block list at the end of the
 * core's first sector.
 */
export async function makeBiosLoader(work: string, rootLabel: string, coreLba: number): Promise<BiosLoader> {
  const core = await readFile(await makeImage(work, 'i386-pc', ['biosdisk'], rootLabel))
  core.writeBigUInt64LE(BigInt(coreLba + 1), 0x1f4)
  const bootCode = (await readFile(join(grubDirectory, 'i386-pc', 'boot.img'))).subarray(0, 440)
  bootCode.writeBigUInt64LE(BigInt(coreLba), 0x5c)
  // Two no-operations let the boot code trust the drive number that the BIOS gives.
  bootCode.writeUInt16LE(0x90_90, 0x66)
  return { bootCode, core }
}
