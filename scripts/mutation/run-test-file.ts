/** Runs one test file of a sandbox in a process of its own. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

export interface Limits {
  /** CPU time of the test process, in whole seconds. Does not depend on what else the machine does. */
  cpuSeconds: number
  /** For a process that waits for what never comes. */
  wallSeconds: number
}

export type Verdict = 'passed' | 'failed' | 'out of time'

/** Process groups that run now; they end with this process. */
const running = new Set<number>()
process.once('exit', () => running.forEach(endGroup))

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // Nothing of it is left.
  }
}

/** Ends at the first test that fails. What the tests leave in the temporary folder is removed. */
export async function runTestFile(
  sandbox: string,
  file: string,
  limits: Limits,
  environment: Record<string, string>,
): Promise<Verdict> {
  const temporary = mkdtempSync(join(sandbox, 'tmp-'))
  const child = spawn(
    'sh',
    [
      '-c',
      'ulimit -c 0; ulimit -t "$1"; shift; exec "$@"',
      'sh',
      String(limits.cpuSeconds),
      process.execPath,
      `--import=${join(import.meta.dirname, 'in-test.ts')}`,
      `--test-reporter=${join(import.meta.dirname, 'first-failure.ts')}`,
      '--test-reporter-destination=stdout',
      file,
    ],
    {
      cwd: sandbox,
      stdio: 'ignore',
      // A group of its own, so that the tools that a test started end with it.
      detached: true,
      env: {
        ...process.env,
        TMPDIR: temporary,
        NODE_COMPILE_CACHE: join(sandbox, 'compiled'),
        ...environment,
      },
    },
  )
  return new Promise((resolve, reject) => {
    let late = false
    const leader = child.pid
    if (leader !== undefined) running.add(leader)
    const end = () => {
      if (leader === undefined) return
      endGroup(leader)
      running.delete(leader)
    }
    const timer = setTimeout(() => {
      late = true
      end()
    }, limits.wallSeconds * 1000)
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      clearTimeout(timer)
      end()
      rmSync(temporary, { recursive: true, force: true })
      if (late || signal === 'SIGXCPU' || signal === 'SIGKILL') resolve('out of time')
      else resolve(status === 0 ? 'passed' : 'failed')
    })
  })
}
