import type { Log } from '../log.ts'
import { readUptime } from './console-log.ts'
import { run } from './run.ts'

/** A server starts within this time of the making of its boot medium, in seconds; its secret lives shorter. */
const newestSeconds = 3600

/**
 * The time to set, in UNIX seconds, or null where the clock is right enough for certificates. The medium was made just before the server
 * was turned on, so now is its time and the kernel's uptime at least. Arguments in seconds.
 */
export function timeToSet(now: number, mediumTime: number, uptime: number): number | null {
  const isRight = now >= mediumTime && now <= mediumTime + newestSeconds
  return isRight ? null : Math.floor(mediumTime + uptime)
}

/**
 * Sets the system's clock by the boot medium where it is off: a server whose battery is empty could verify no certificate. The clock
 * of the hardware is left as it is. A failure is a line of the log; the join will tell whether it matters.
 */
export async function setClock(mediumTime: number, log: Log): Promise<void> {
  const was = Date.now() / 1000
  const time = timeToSet(was, mediumTime, readUptime())
  if (time === null) return
  try {
    await run(['date', '-u', '-s', `@${time}`])
    log(`The clock said ${shown(was)}; it is set to ${shown(time)}, by the boot medium.`)
  } catch (error) {
    log(`The clock says ${shown(was)} and cannot be set: ${(error as Error).message}`)
  }
}

const shown = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 19)
