/** Runs commands one after the other and measures them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { tryCommand } from '../run-command.ts'

export interface Measured {
  seconds: number
  /** User and system time of all commands; null without /usr/bin/time. */
  cpuSeconds: number | null
  /** Of the largest process. */
  rssMib: number
}

export const hasTime = async (): Promise<boolean> =>
  (await tryCommand('/usr/bin/time', ['true'])).status === 0

/**
 * The wall time of all commands together. `signal` ends the running command and waits for its end.
 * @throws {Error} with the command's last words when its status is not 0; the reason of `signal`.
 */
export async function timed(commands: string[][], withTime: boolean, signal: AbortSignal): Promise<Measured> {
  const started = performance.now()
  const runs: Measured[] = []
  for (const argv of commands)
    runs.push(await (withTime ? runUnderTime(argv, signal) : runWatched(argv, signal)))
  return {
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: withTime ? runs.reduce((sum, { cpuSeconds }) => sum + (cpuSeconds ?? 0), 0) : null,
    rssMib: Math.max(...runs.map(({ rssMib }) => rssMib)),
  }
}

async function runUnderTime(argv: string[], signal: AbortSignal): Promise<Measured> {
  const said = await run(['/usr/bin/time', '-f', '\nmeasured %U %S %M', ...argv], signal)
  const [, user, system, kib] = /measured (\S+) (\S+) (\d+)\n*$/.exec(said) ?? []
  return { seconds: 0, cpuSeconds: Number(user) + Number(system), rssMib: Number(kib) / 1024 }
}

/** Without /usr/bin/time: the kernel's own high-water mark, read while the command runs. */
async function runWatched(argv: string[], signal: AbortSignal): Promise<Measured> {
  let rssMib = 0
  await run(argv, signal, async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    rssMib = Math.max(rssMib, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
  })
  return { seconds: 0, cpuSeconds: null, rssMib }
}

/** Gives what the command said on standard error. */
async function run(
  [name = '', ...args]: string[],
  signal: AbortSignal,
  watch?: (pid: number) => Promise<void>,
): Promise<string> {
  signal.throwIfAborted()
  // A process group of its own, so that what runs under `time` can be ended with it.
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  const stop = () => endGroup(child.pid)
  signal.addEventListener('abort', stop)
  const timer = watch && setInterval(() => void watch(child.pid ?? 0), 50)
  try {
    const said = text(child.stderr)
    const [status] = (await once(child, 'close')) as [number | null]
    signal.throwIfAborted()
    if (status !== 0)
      throw new Error(`${name} ${args.join(' ')} ended with status ${status}: ${(await said).slice(-2000)}`)
    return await said
  } finally {
    clearInterval(timer)
    signal.removeEventListener('abort', stop)
  }
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGTERM')
  } catch {
    // It has ended by itself.
  }
}
