/**
 * `npm test [-- PATTERN ...]`: every test of the repository, or those whose path contains one of the patterns. Installs the
 * Debian packages that the tests use, and says at the end what was left out and why. With `--long`, the tests that take
 * minutes instead: files named `.integ.ts`.
 */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { ensureTools, widenPath } from './debian-packages.ts'
import { runAndTell } from './test-files.ts'

const root = join(import.meta.dirname, '..')

const tools = {
  'qemu-img': 'qemu-utils',
  sgdisk: 'gdisk',
  sfdisk: 'fdisk',
  parted: 'parted',
  losetup: 'mount',
  genisoimage: 'genisoimage',
  xorriso: 'xorriso',
  mcopy: 'mtools',
  'mkfs.vfat': 'dosfstools',
  mmdebstrap: 'mmdebstrap',
  fakeroot: 'fakeroot',
  newuidmap: 'uidmap',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  'mkfs.ntfs': 'ntfs-3g',
  mkswap: 'util-linux',
  blkid: 'util-linux',
  cryptsetup: 'cryptsetup-bin',
  pvcreate: 'lvm2',
  'grub-fstest': 'grub-common',
  '/usr/lib/grub/i386-pc/boot.img': 'grub-pc-bin',
  '/usr/lib/shim/shimx64.efi.signed': 'shim-signed',
  '/usr/lib/syslinux/mbr/mbr.bin': 'syslinux-common',
  '/usr/lib/ISOLINUX/isohdpfx.bin': 'isolinux',
  'cloud-init': 'cloud-init',
  go: 'golang-go',
  '/usr/share/gocode/src/github.com/ovh/go-ovh/ovh/ovh.go': 'golang-github-ovh-go-ovh-dev',
  '/usr/lib/python3/dist-packages/sushy/__init__.py': 'python3-sushy',
  ipmitool: 'ipmitool',
  ipmi_sim: 'openipmi',
  cpio: 'cpio',
  minisign: 'minisign',
  gpg: 'gpg',
  gpgconf: 'gpgconf',
  'gpg-agent': 'gpg-agent',
  'grub-script-check': 'grub-common',
  readelf: 'binutils',
  modprobe: 'kmod',
  'qemu-system-x86_64': 'qemu-system-x86',
  '/usr/share/OVMF/OVMF_CODE_4M.fd': 'ovmf',
  curl: 'curl',
  openssl: 'openssl',
  xz: 'xz-utils',
  zstd: 'zstd',
  bzip2: 'bzip2',
  nginx: 'nginx-light',
  '/usr/lib/x86_64-linux-gnu/qemu/block-curl.so': 'qemu-block-extra',
  dnsmasq: 'dnsmasq-base',
  nbdkit: 'nbdkit',
  nbdfuse: 'libnbd-bin',
  fusermount3: 'fuse3',
  ip: 'iproute2',
  busybox: 'busybox-static',
  dropbear: 'dropbear-bin',
  'ssh-keygen': 'openssh-client',
  efibootmgr: 'efibootmgr',
}

const long = process.argv.includes('--long')
/** Longest time for one test file, in ms. */
const fileTimeout = long ? 3600_000 : 240_000

function testFiles(patterns: string[]): string[] {
  const found = globSync(`{packages,apps,ramdisk,test,scripts}/**/*.${long ? 'integ' : 'test'}.ts`, {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  })
  const wanted = found.filter((path) => patterns.length === 0 || patterns.some((each) => path.includes(each)))
  // Whole-system tests first: the longest ones must not be what is left over at the end.
  return wanted.toSorted(
    (a, b) => Number(b.startsWith('test/')) - Number(a.startsWith('test/')) || (a < b ? -1 : 1),
  )
}

widenPath()
const patterns = process.argv.slice(2).filter((each) => each !== '--long')
const files = testFiles(patterns)
if (files.length === 0) {
  console.error(`No test file's path contains ${patterns.join(' or ')}.`)
  process.exit(2)
}
const absent = await ensureTools(tools, 'for the tests')
process.exitCode = (await runAndTell(files, fileTimeout, absent, long ? 1 : 2)) ? 0 : 1
