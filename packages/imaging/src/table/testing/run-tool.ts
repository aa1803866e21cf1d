import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { existsSync } from 'node:fs'

/** Debian keeps some of the tools where only root's PATH looks. */
const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']

const find = (tool: string): string | undefined =>
  directories.map((directory) => join(directory, tool)).find((path) => existsSync(path))

/** For a test's `skip`: the first of `tools` that this machine lacks, in words, or false. */
export function lacking(...tools: string[]): string | false {
  const absent = tools.find((tool) => !find(tool))
  return absent === undefined ? false : `${absent} is not installed`
}

/** Runs a tool and gives what it printed on both outputs; throws unless it exits with `status`. */
export function runTool(
  tool: string,
  args: string[],
  options: { input?: string; status?: number } = {},
): string {
  const { input = '', status = 0 } = options
  const run = spawnSync(find(tool) ?? tool, args, { input, maxBuffer: 64 * 1024 * 1024, encoding: 'latin1' })
  if (run.error) throw run.error
  if (run.status !== status) {
    throw new Error(`${tool} ${args.join(' ')} exited with ${run.status}: ${run.stdout}${run.stderr}`)
  }
  return run.stdout + run.stderr
}
