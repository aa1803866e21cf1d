import { homedir } from 'node:os'
import { CommanderError } from 'commander'
import type { Context } from './context.ts'
import { makeProgram } from './program.ts'
import { showError } from './show-error.ts'

/** Exit status: 0 done, 1 failed with an error of the catalogue, 2 wrong usage. */
async function main(): Promise<number> {
  // A reader that leaves early (`byoi key list | head -1`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const context: Context = {
    env: process.env,
    home: homedir(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    interruptible,
  }
  try {
    await makeProgram(context).parseAsync(process.argv)
    return 0
  } catch (error) {
    // commander has printed its help or its complaint already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return showError(error, context)
  }
}

function interruptible(): AbortSignal {
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => interrupted.abort(new Error(`Stopped by ${name}.`)))
  return interrupted.signal
}

process.exitCode = await main()
