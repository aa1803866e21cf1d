import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Names one run of a process: a pid alone may come back as somebody else's. `startTime` in clock ticks since boot. */
export interface ProcessRecord {
  pid: number
  startTime: string
}

/** proc(5): after the name in parentheses comes field 3, the state; field 22 is the start time. null: it is over. */
async function startTimeOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? []
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
}

/** @throws {Error} when the process is over already. */
export async function recordOf(pid: number | undefined): Promise<ProcessRecord> {
  const startTime = pid === undefined ? null : await startTimeOf(pid)
  if (pid === undefined || startTime === null) throw new Error('The process has ended at once.')
  return { pid, startTime }
}

/** Whether that very process is alive. */
export const isAlive = async ({ pid, startTime }: ProcessRecord): Promise<boolean> =>
  (await startTimeOf(pid)) === startTime

/** Asks the process to end, waits `patienceMs` for it, and ends it then. Idempotent. */
export async function endProcess(record: ProcessRecord, patienceMs: number): Promise<void> {
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    if (!(await isAlive(record))) return
    try {
      process.kill(record.pid, name)
    } catch {
      // It has ended in between.
      return
    }
    const end = Date.now() + patienceMs
    while ((await isAlive(record)) && Date.now() < end) await sleep(50)
  }
}
