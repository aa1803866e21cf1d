import { homedir } from 'node:os'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { LabError } from './lab-error.ts'
import { makeProgram } from './program.ts'

/** Exit status: 0 done, 1 failed, 2 wrong usage. */
async function main(): Promise<number> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  try {
    await makeProgram({
      // Not in a home directory where root runs it: the control plane's database runs as another user then.
      folder: process.getuid?.() === 0 ? '/var/lib/byoi-lab' : join(cache, 'byoi', 'lab'),
      path: process.env['PATH'] ?? '',
      out: (text) => void process.stdout.write(text),
      progress: (line) => void process.stderr.write(`${line}\n`),
    }).parseAsync(process.argv)
    return 0
  } catch (error) {
    // commander has printed its help or its complaint already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof LabError)) throw error
    process.stderr.write(`byoi lab: ${error.message}\n`)
    return 1
  }
}

process.exitCode = await main()
