/**
 * `npm run test:lab [-- PATTERN ...]`: deployments onto virtual servers that boot what they are given, or those files of test/lab
 * whose name contains one of the patterns. Installs the Debian packages that it uses; builds what servers boot, once for all files.
 */
import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { debianImage } from './debian-image.ts'
import { type DiskLayout } from './debian-image/disk.ts'
import { ensureTools, widenPath } from './debian-packages.ts'
import { labTools } from './lab/tools.ts'
import { byoi } from './lab/virtual-lab.ts'
import { command } from './run-command.ts'
import { runAndTell } from './test-files.ts'

const root = join(import.meta.dirname, '..')

/** Longest time for one file, in ms: an emulated server on a busy machine is slow. */
const fileTimeout = 30 * 60_000

/** Of the Debian images that files use: made before, because two files that run at once must not make the same. */
const layouts: Record<string, DiskLayout> = {
  'first-deployment': { table: 'gpt', sectorSize: 512 },
  legacy: { table: 'mbr', sectorSize: 512 },
  'secure-boot': { table: 'gpt', sectorSize: 4096 },
}

/** The longest files first. */
const order = ['power-cut', 'first-deployment', 'life-cycle', 'legacy', 'secure-boot']

const rankOf = (file: string): number => order.findIndex((name) => file.endsWith(`/${name}.lab.ts`))

widenPath()
const patterns = process.argv.slice(2)
const files = globSync('test/lab/*.lab.ts', { cwd: root })
  .filter((file) => patterns.length === 0 || patterns.some((each) => file.includes(each)))
  .toSorted((a, b) => rankOf(a) - rankOf(b))
if (files.length === 0) {
  console.error(`No file of test/lab contains ${patterns.join(' or ')} in its name.`)
  process.exit(2)
}
const absent = await ensureTools(await labTools(), 'for the virtual servers')
if (absent.length > 0) process.exit(1)
const folder = await mkdtemp(join(tmpdir(), 'byoi-lab-ramdisk-'))
try {
  for (const [name, layout] of Object.entries(layouts)) {
    if (files.some((file) => file.includes(`/${name}.`))) await debianImage({ layout })
  }
  console.log('Building what servers boot into RAM ...')
  await command(byoi, ['ramdisk', 'build', '--fast', '--flavour', 'cloud', '--out', folder])
  process.env['BYOI_LAB_RAMDISK'] = folder
  process.exitCode = (await runAndTell(files, fileTimeout, [])) ? 0 : 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
