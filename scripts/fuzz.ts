/** `npm run test:fuzz`: fuzzes the image engine; `--help` tells how. Installs qemu-img where that is compared with. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ensureTools, widenPath } from './debian-packages.ts'

const main = join(import.meta.dirname, '../packages/imaging/src/fuzz/main.ts')

widenPath()
const args = process.argv.slice(2)
const needsQemu = args.includes('qcow2-differential')
const missing = needsQemu ? await ensureTools({ 'qemu-img': 'qemu-utils' }, 'for the comparison') : []
process.exitCode =
  missing.length > 0 ? 1 : (spawnSync(process.execPath, [main, ...args], { stdio: 'inherit' }).status ?? 1)
