import { readFileSync } from 'node:fs'
import type { Log } from '../log.ts'

/**
 * Log on the server's console, where the kernel's own lines stand: each line begins with the seconds since the kernel started, as
 * theirs do, so that the recorded serial console tells how long each step took.
 */
export const logToConsole: Log = (line) => {
  const uptime = readUptime().toFixed(2).padStart(9)
  process.stdout.write(`[${uptime}] byoi: ${line.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')}\n`)
}

/** Seconds since the kernel started (proc(5), /proc/uptime). */
export const readUptime = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
