/** The root file system's content: Debian 12 with the cloud kernel and cloud-init, which reads its configuration from a config drive. */
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../run-command.ts'

export const rootLabel = 'cloudroot'

const packages = [
  'linux-image-cloud-amd64',
  'initramfs-tools',
  'lz4',
  'systemd-sysv',
  'udev',
  'dbus',
  'cloud-init',
  'cloud-guest-utils',
  'openssh-server',
  'iproute2',
  'ifupdown',
  'isc-dhcp-client',
  'e2fsprogs',
  'fdisk',
  'gdisk',
  'sudo',
  'netbase',
]

const leftOut = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/info/*',
  '/usr/share/locale/*',
  '/usr/share/i18n/*',
  '/usr/lib/x86_64-linux-gnu/gconv/*',
  '/usr/lib/udev/hwdb.d/*',
  '/lib/modules/*/kernel/drivers/gpu/*',
  '/lib/modules/*/kernel/drivers/infiniband/*',
  '/lib/modules/*/kernel/drivers/comedi/*',
  '/lib/modules/*/kernel/drivers/target/*',
  '/lib/modules/*/kernel/arch/x86/kvm/*',
  '/lib/modules/*/kernel/sound/*',
]

/** Drivers that the initramfs needs to find the root file system on virtual servers. */
const initramfsModules = ['virtio_pci', 'virtio_blk', 'virtio_net', 'virtio_scsi', 'sd_mod', 'nvme', 'ext4']

const kernelWords = `root=LABEL=${rootLabel} ro console=tty0 console=ttyS0,115200 net.ifnames=0 biosdevname=0 panic=-1`

/** The modules that a config drive can ask something of; each of the others takes time to find that it has nothing to do. */
const cloudConfig = `datasource_list: [ConfigDrive, None]
ssh_genkeytypes: [ed25519]
cloud_init_modules: [bootcmd, write-files, growpart, resizefs, mounts, set_hostname, update_etc_hosts, ca-certs, users-groups, ssh]
cloud_config_modules: [set-passwords, apt-configure, timezone, runcmd]
cloud_final_modules: [package-update-upgrade-install, write-files-deferred, scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, ssh-authkey-fingerprints, keys-to-console, phone-home, final-message, power-state-change]
`

/** Work that a server without an archive at hand should not begin by itself. */
const maskedTimers = ['apt-daily', 'apt-daily-upgrade', 'dpkg-db-backup', 'e2scrub_all', 'fstrim']

const defaultSources = `deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian-security bookworm-security main
`

/** Lines for sources.list: the host's own mirrors where it is a Debian 12, so that a local mirror is used. */
async function aptSources(): Promise<string> {
  const format = 'deb $(REPO_URI) $(RELEASE) $(COMPONENT) #$(ORIGIN)'
  const lines = (await command('apt-get', ['indextargets', '--format', format, 'Identifier: Packages']))
    .toString()
    .split('\n')
    .filter((line) => line.endsWith('#Debian') && line.includes(' bookworm'))
    .map((line) => `${line.replace(/ #Debian$/, '')}\n`)
  return lines.length === 0 ? defaultSources : lines.join('')
}

async function kernelVersion(tree: string): Promise<string> {
  const kernel = (await readdir(join(tree, 'boot'))).find((each) => each.startsWith('vmlinuz-'))
  if (kernel === undefined) throw new Error('no kernel was installed into the image')
  return kernel.slice('vmlinuz-'.length)
}

const grubConfig = (version: string): string => `serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
menuentry 'Debian' {
  linux /boot/vmlinuz-${version} ${kernelWords}
  initrd /boot/initrd.img-${version}
}
`

/** Installs Debian into the new directory `tree` (as root). `work` is a directory for intermediate files. */
export async function makeRootTree(tree: string, work: string): Promise<void> {
  // The initramfs is made while the kernel is configured, so its settings must be there before.
  const early = join(work, 'initramfs-tools')
  await mkdir(join(early, 'conf.d'), { recursive: true })
  await writeFile(join(early, 'conf.d', 'byoi'), 'MODULES=list\nCOMPRESS=lz4\n')
  await writeFile(join(early, 'modules'), `${initramfsModules.join('\n')}\n`)
  await command(
    'mmdebstrap',
    [
      '--mode=root',
      '--variant=minbase',
      `--include=${packages.join(',')}`,
      '--aptopt=Acquire::Languages "none"',
      '--aptopt=APT::Install-Recommends "false"',
      '--dpkgopt=force-unsafe-io',
      ...leftOut.map((each) => `--dpkgopt=path-exclude=${each}`),
      `--essential-hook=copy-in ${early} /etc`,
      'bookworm',
      tree,
      '-',
    ],
    { input: await aptSources() },
  )
  const write = (path: string, content: string): Promise<void> => writeFile(join(tree, path), content)
  await write('etc/fstab', `LABEL=${rootLabel} / ext4 errors=remount-ro 0 1\n`)
  await write('etc/machine-id', '')
  await write('etc/hostname', 'localhost\n')
  await write('etc/resolv.conf', '')
  await write('etc/cloud/cloud.cfg.d/90_byoi.cfg', cloudConfig)
  await mkdir(join(tree, 'boot', 'grub'), { recursive: true })
  await write('boot/grub/grub.cfg', grubConfig(await kernelVersion(tree)))
  for (const name of maskedTimers) {
    await symlink('/dev/null', join(tree, 'etc/systemd/system', `${name}.timer`))
  }
  const ssh = await readdir(join(tree, 'etc/ssh'))
  for (const key of ssh.filter((each) => each.startsWith('ssh_host_'))) await rm(join(tree, 'etc/ssh', key))
}
