/** GRUB for both firmwares, put into plain files: no loop device, no mount, no grub-install. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
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

/** GRUB's first script: goes on with the configuration on the root file system. */
export const findRoot = (rootLabel: string): string => `search --no-floppy --label ${rootLabel} --set=root
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
`

async function makeImage(work: string, format: string, extra: string[], script: string): Promise<string> {
  const early = join(work, 'early.cfg')
  await writeFile(early, script)
  const out = join(work, `grub-${format}`)
  const args = ['-O', format, '-p', '/boot/grub', '-c', early, '-o', out, ...modules.split(' '), ...extra]
  await command('grub-mkimage', args)
  return out
}

/** A UEFI loader that runs a script of GRUB, not signed. Gives its path. */
export const makeEfiLoader = (work: string, script: string): Promise<string> =>
  makeImage(work, 'x86_64-efi', ['all_video'], script)

/** What a UEFI firmware with Microsoft's keys lets start. */
export interface SignedLoaders {
  /** For `EFI/BOOT/BOOTX64.EFI`: starts `grubx64.efi` beside it. */
  shim: string
  /** For `EFI/BOOT/grubx64.efi`: reads `EFI/debian/grub.cfg`. */
  grub: string
}

/** Debian's loaders, out of the packages and not from this machine, which would make itself bootable with them. */
export async function signedLoaders(work: string): Promise<SignedLoaders> {
  const tree = join(work, 'signed')
  await mkdir(tree)
  await command('apt-get', ['download', '-q', 'shim-signed', 'grub-efi-amd64-signed'], { cwd: tree })
  for (const file of await readdir(tree)) await command('dpkg-deb', ['-x', join(tree, file), tree])
  return {
    shim: join(tree, 'usr/lib/shim/shimx64.efi.signed'),
    grub: join(tree, grubDirectory, 'x86_64-efi-signed/grubx64.efi.signed'),
  }
}

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
export async function makeBiosLoader(work: string, script: string, coreLba: number): Promise<BiosLoader> {
  const core = await readFile(await makeImage(work, 'i386-pc', ['biosdisk'], script))
  core.writeBigUInt64LE(BigInt(coreLba + 1), 0x1f4)
  const bootCode = (await readFile(join(grubDirectory, 'i386-pc', 'boot.img'))).subarray(0, 440)
  bootCode.writeBigUInt64LE(BigInt(coreLba), 0x5c)
  // Two no-operations let the boot code trust the drive number that the BIOS gives.
  bootCode.writeUInt16LE(0x90_90, 0x66)
  return { bootCode, core }
}
