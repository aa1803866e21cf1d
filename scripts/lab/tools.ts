/** What a lab and its tests use beside Node, each with its Debian package. */
import { type ToolPackages } from '../debian-packages.ts'
import { command } from '../run-command.ts'
import { byoi } from './virtual-lab.ts'

const own: ToolPackages = {
  'qemu-img': 'qemu-utils',
  sfdisk: 'fdisk',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  'grub-mkimage': 'grub-common',
  '/usr/lib/grub/i386-pc/boot.img': 'grub-pc-bin',
  '/usr/lib/grub/x86_64-efi/normal.mod': 'grub-efi-amd64-bin',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
}

/** The lab itself says what it needs. */
export async function labTools(): Promise<ToolPackages> {
  const its = JSON.parse((await command(byoi, ['lab', 'tools'])).toString()) as ToolPackages
  return { ...own, ...its }
}
