/**
 * `npm test [-- PATTERN ...]`: every test of the repository, or those whose path contains one of the patterns. Installs the
 * Debian packages that the tests use, and says at the end what was left out and why. With `--long`, the tests that take
 * minutes instead: files named `.integ.ts`.
 */
import { globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { ensureTools, widenPath } from './debian-packages.ts'

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
  'cloud-init': 'cloud-init',
  go: 'golang-go',
  '/usr/share/gocode/src/github.com/ovh/go-ovh/ovh/ovh.go': 'golang-github-ovh-go-ovh-dev',
  cpio: 'cpio',
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
  nbdkit: 'nbdkit',
  nbdfuse: 'libnbd-bin',
  fusermount3: 'fuse3',
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

interface Outcome {
  counts: { passed: number; failed: number; skipped: number }
  skipped: string[]
  seconds: Map<string, number>
}

async function runFiles(files: string[]): Promise<Outcome> {
  const outcome: Outcome = {
    counts: { passed: 0, failed: 0, skipped: 0 },
    skipped: [],
    seconds: new Map(),
  }
  const events = run({
    files: files.map((each) => join(root, each)),
    concurrency: long ? 1 : 2,
    timeout: fileTimeout,
    cwd: root,
  })
  events.on('test:pass', ({ name, skip, file }) => {
    if (skip === undefined || skip === false) return
    const why = typeof skip === 'string' ? `: ${skip}` : ''
    outcome.skipped.push(`${relative(root, file ?? '')}: ${name}${why}`)
  })
  events.on('test:summary', ({ file, counts, duration_ms }) => {
    if (file !== undefined) {
      outcome.seconds.set(relative(root, file), duration_ms / 1000)
      return
    }
    const failed = counts.tests - counts.passed - counts.skipped - counts.todo
    outcome.counts = { passed: counts.passed, failed, skipped: counts.skipped }
  })
  const report = events.compose(spec)
  report.pipe(process.stdout, { end: false })
  await new Promise((resolve) => report.once('end', resolve))
  return outcome
}

widenPath()
const patterns = process.argv.slice(2).filter((each) => each !== '--long')
const files = testFiles(patterns)
if (files.length === 0) {
  console.error(`No test file's path contains ${patterns.join(' or ')}.`)
  process.exit(2)
}
const absent = await ensureTools(tools, 'for the tests')
const { counts, skipped, seconds } = await runFiles(files)
const slowest = [...seconds].toSorted((a, b) => b[1] - a[1]).slice(0, 5)
console.log(`\nSlowest files: ${slowest.map(([file, time]) => `${file} ${time.toFixed(1)} s`).join(', ')}`)
if (absent.length > 0) console.log(`Tools that are not there: ${absent.join(', ')}`)
if (skipped.length > 0)
  console.log(`Left out, with the reason:\n${skipped.map((each) => `  ${each}`).join('\n')}`)
console.log(`${counts.skipped} skipped`)
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1
