import { readFile, readlink, realpath } from 'node:fs/promises'
import { basename } from 'node:path'
import type { RamdiskFlavour } from '@byoi/contract'
import type { DebianFiles } from '../debian/files.ts'
import { run } from '../run.ts'
import type { Tree } from './tree.ts'

/** By Debian package: names of commands with spaces between them. */
type CommandList = Readonly<Record<string, string>>

/**
 * Commands beside those of busybox: what the agent and its network need, and what people repair systems with. docs/ramdisk.md lists
 * them for those people.
 */
const commands: CommandList = {
  kmod: 'kmod depmod insmod lsmod modinfo modprobe rmmod',
  iproute2: 'ip',
  ethtool: 'ethtool',
  'dropbear-bin': 'dropbear dropbearkey',
  rsync: 'rsync',
  'util-linux': 'blkdiscard blkid blockdev findmnt fsck fstrim lsblk partx wipefs',
  mount: 'losetup mount swapoff swapon umount',
  fdisk: 'fdisk sfdisk',
  gdisk: 'sgdisk',
  e2fsprogs: 'debugfs dumpe2fs e2fsck fsck.ext4 mke2fs mkfs.ext4 resize2fs tune2fs',
  dosfstools: 'fatlabel fsck.fat fsck.vfat mkfs.fat mkfs.vfat',
  xfsprogs: 'mkfs.xfs xfs_growfs xfs_repair',
  'btrfs-progs': 'btrfs',
  efibootmgr: 'efibootmgr',
  mdadm: 'mdadm',
  'cryptsetup-bin': 'cryptsetup',
  lvm2: `lvm lvchange lvconvert lvcreate lvdisplay lvextend lvreduce lvremove lvrename lvresize lvs pvck pvcreate pvdisplay
    pvmove pvremove pvresize pvs pvscan vgcfgbackup vgcfgrestore vgchange vgck vgcreate vgdisplay vgexport vgextend
    vgimport vgreduce vgremove vgrename vgs vgscan`,
  dmsetup: 'dmsetup',
  gddrescue: 'ddrescue',
}

/** For servers that have hardware of their own: in the generic flavour only. */
const hardwareCommands: CommandList = {
  'nvme-cli': 'nvme',
  pciutils: 'lspci',
  smartmontools: 'smartctl',
}

const commandsOf = (flavour: RamdiskFlavour): CommandList =>
  flavour === 'generic' ? { ...commands, ...hardwareCommands } : commands

/** Debian packages that the commands are in. */
export const commandPackages = (flavour: RamdiskFlavour): string[] => Object.keys(commandsOf(flavour))

/** Adds busybox with a link for each of its commands, and then the commands above in their places. */
export async function addCommands(tree: Tree, debian: DebianFiles, flavour: RamdiskFlavour): Promise<void> {
  const busybox = debian.command('busybox')
  tree.file('usr/bin/busybox', await readFile(busybox), 0o755)
  const applets = (await run(busybox, ['--list'])).toString().split('\n')
  for (const applet of applets)
    if (applet !== '' && applet !== 'busybox') tree.link(`usr/bin/${applet}`, 'busybox')
  for (const names of Object.values(commandsOf(flavour)))
    for (const name of names.split(/\s+/)) await addCommand(tree, debian.command(name))
}

/** A command that is another one under a second name (`fsck.ext4`, `lvs`) stays a link. */
async function addCommand(tree: Tree, path: string): Promise<void> {
  const name = basename(path)
  const target = await readlink(path).catch(() => undefined)
  if (target !== undefined) tree.link(`usr/bin/${name}`, basename(target))
  else tree.file(`usr/bin/${name}`, await readFile(await realpath(path)), 0o755)
}
