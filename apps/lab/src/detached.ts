import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { LabError } from './lab-error.ts'

/** Starts a process that lives on when this one ends, with what it says in a log file. */
export function startDetached(
  command: string,
  args: readonly string[],
  logPath: string,
  ipc = false,
): ChildProcess {
  const log = openSync(logPath, 'a', 0o600)
  try {
    return spawn(command, args, {
      detached: true,
      stdio: ipc ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
    })
  } finally {
    closeSync(log)
  }
}

/** @throws {LabError} with the last words of the process, which has ended too early. */
export async function failWithLog(what: string, logPath: string): Promise<never> {
  const words = (await readFile(logPath, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join('\n')
  throw new LabError(`${what}:\n${words}\n(log: ${logPath})`)
}
