import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Longest run of a command, in ms: a driver that hangs must not hold the agent. */
const withinMs = 30_000

/** Runs a command and gives its standard output. Rejects with one sentence that holds the command's own first words. */
export async function run(argv: readonly string[]): Promise<string> {
  const [command = '', ...args] = argv
  try {
    const { stdout } = await execute(command, args, { timeout: withinMs, killSignal: 'SIGKILL' })
    return stdout
  } catch (cause) {
    throw new Error(`${argv.join(' ')}: ${reasonOf(cause as FailedRun)}`, { cause })
  }
}

type FailedRun = Error & { code?: number | string; killed?: boolean; stderr?: string }

function reasonOf({ code, killed, stderr, message }: FailedRun): string {
  if (code === 'ENOENT') return 'there is no such command'
  if (killed === true) return `it did not end within ${withinMs / 1000} s`
  const [said = ''] = (stderr ?? '').trim().split('\n')
  return said === '' ? (typeof code === 'number' ? `it ended with status ${code}` : message) : said
}
