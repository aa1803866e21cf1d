import { readFile } from 'node:fs/promises'

/** Names one run of a process: a pid alone may come back as somebody else's. `startTime` in clock ticks since boot. */
export interface ProcessRecord {
  pid: number
  startTime: string
}

/** The record of a process that is alive now; null when there is none, or it has ended and waits to be reaped. */
export async function recordOf(pid: number): Promise<ProcessRecord | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  if (text === null) return null
  // proc(5): field 2 is the name in parentheses and may hold anything; field 3 is the state, field 22 the start time.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, startTime] = [fields[0], fields[19]]
  return startTime === undefined || state === 'Z' || state === 'X' ? null : { pid, startTime }
}

/** Whether that very process is alive. */
export async function isAlive(record: ProcessRecord): Promise<boolean> {
  return (await recordOf(record.pid))?.startTime === record.startTime
}
