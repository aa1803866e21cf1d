/** `npm run check`: type check, lint and format check. All of them run, and all of them are reported. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const checks = [
  { name: 'types', command: 'tsc', args: ['-p', '.'], remedy: 'mend the types' },
  { name: 'lint', command: 'oxlint', args: ['--type-aware'], remedy: 'mend what oxlint names' },
  { name: 'format', command: 'biome', args: ['format', '.'], remedy: 'npm run format' },
]

const failed = checks.filter(({ name, command, args, remedy }) => {
  console.log(`check: ${name} (${command} ${args.join(' ')})`)
  const { status } = spawnSync(join(root, 'node_modules', '.bin', command), args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) console.log(`check: ${name} failed; to mend it: ${remedy}`)
  return status !== 0
})
console.log(`${checks.length - failed.length} passed, ${failed.length} failed`)
process.exitCode = failed.length === 0 ? 0 : 1
