/**
 * Finds the system tools that a script needs, and installs them where that is possible: on Debian, as root. Uses no tool
 * itself but apt-get.
 */
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Directories that hold administrators' tools and are missing from the PATH of ordinary users. */
const adminDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin']

const aptLog = join(import.meta.dirname, '..', 'node_modules', '.cache', 'apt.log')

/** Adds the administrators' directories to this process's PATH, for itself and its children. */
export function widenPath(): void {
  const path = (process.env['PATH'] ?? '').split(':')
  process.env['PATH'] = [...path, ...adminDirectories.filter((each) => !path.includes(each))].join(':')
}

/** Where a tool is, or undefined. `tool` is a command's name, or the absolute path of a file. */
export function findTool(tool: string): string | undefined {
  if (tool.startsWith('/')) return existsSync(tool) ? tool : undefined
  const directories = [...(process.env['PATH'] ?? '').split(':'), ...adminDirectories]
  return directories.map((each) => join(each, tool)).find((each) => existsSync(each))
}

/** Tools by name (command, or absolute path of a file), each with the Debian package that holds it. */
export type ToolPackages = Readonly<Record<string, string>>

/** Names of the tools that are not there. */
export const missingTools = (tools: ToolPackages): string[] =>
  Object.keys(tools).filter((each) => findTool(each) === undefined)

function apt(args: string[]): Promise<boolean> {
  mkdirSync(dirname(aptLog), { recursive: true })
  return new Promise((resolve) => {
    const log = createWriteStream(aptLog, { flags: 'a' })
    const child = spawn('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    child.once('error', () => resolve(false))
    child.once('close', (status) => log.end(() => resolve(status === 0)))
  })
}

/**
 * Makes sure that the tools are there. What cannot be installed is named on standard error with the command that would
 * install it.
 *
 * @param why What they are for, as in "for the tests".
 * @returns Names of the tools that are still missing: the caller stops, or leaves that part out and says so.
 */
export async function ensureTools(tools: ToolPackages, why: string): Promise<string[]> {
  const missing = missingTools(tools)
  if (missing.length === 0) return []
  const packages = [...new Set(missing.map((each) => tools[each] ?? each))].toSorted()
  const byHand = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (process.getuid?.() !== 0 || findTool('apt-get') === undefined) {
    console.error(`Missing ${why}: ${missing.join(', ')}. On Debian, as root: ${byHand}`)
    return missing
  }
  console.error(`Installing ${packages.length} Debian packages ${why} (log: ${aptLog}) ...`)
  // A third party's unreachable archive fails the update although Debian's own archive was read: the install decides.
  await apt(['update'])
  const installed = await apt(['install', '-y', '--no-install-recommends', '--', ...packages])
  const still = missingTools(tools)
  if (!installed || still.length > 0) {
    console.error(`Could not install ${still.join(', ')} ${why}. See ${aptLog}, or run: ${byHand}`)
  }
  return still
}
