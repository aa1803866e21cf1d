/**
 * `npm run test:netboot [-- PATTERN]`: servers in QEMU boot from the network as `byoi netboot config` says. As root; takes minutes, and one
 * QEMU at a time. Builds the ramdisk first, unless BYOI_RAMDISK names one.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureTools, widenPath } from './debian-packages.ts'

const root = join(import.meta.dirname, '..')
const tools = {
  ip: 'iproute2',
  unshare: 'util-linux',
  dnsmasq: 'dnsmasq-base',
  openssl: 'openssl',
  'qemu-system-x86_64': 'qemu-system-x86',
  '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd': 'ovmf',
  '/usr/lib/ipxe/qemu/efi-virtio.rom': 'ipxe-qemu',
}

widenPath()
const absent = await ensureTools(tools, 'for booting from the network')
if (absent.length > 0 || process.getuid?.() !== 0) {
  console.error('Network namespaces need root.')
  process.exit(1)
}
const given = process.env['BYOI_RAMDISK']
const ramdisk = given ?? join(homedir(), '.cache', 'byoi', 'ramdisk', 'cloud')
if (given === undefined && !existsSync(join(ramdisk, 'manifest.json'))) {
  const args = ['ramdisk', 'build', '--flavour', 'cloud', '--fast', '--out', ramdisk]
  const { status } = spawnSync(join(root, 'byoi'), args, { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
const pattern = process.argv[2] === undefined ? [] : ['--test-name-pattern', process.argv[2]]
const { status } = spawnSync(
  'unshare',
  ['--net', process.execPath, '--test', ...pattern, join(root, 'test', 'netboot.integ.ts')],
  { stdio: 'inherit', env: { ...process.env, BYOI_RAMDISK: ramdisk } },
)
process.exitCode = status ?? 1
