import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { BmcError, type ConsoleSession, type SerialConsole } from '../bmc.ts'

const pollMs = 200
const maxRead = 64 * 1024

/**
 * The console of a file-backed server: what its agent writes into its log, from the opening on. Nothing else runs there, so
 * nothing is shown of the system on its disk, and what is typed is read by nobody.
 */
export const logConsole = (path: string): SerialConsole => ({
  openConsole: async (signal) => {
    signal.throwIfAborted()
    const begin = await sizeOf(path)
    const closing = new AbortController()
    return {
      output: follow(path, begin, closing.signal),
      write: async () => undefined,
      close: async () => closing.abort(),
    } satisfies ConsoleSession
  },
})

async function* follow(path: string, begin: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let at = begin
  while (!signal.aborted) {
    const size = await sizeOf(path)
    // One that is shorter than it was has been begun anew.
    if (size < at) at = 0
    if (size === at) {
      await sleep(pollMs, undefined, { signal }).catch(() => undefined)
      continue
    }
    const bytes = await read(path, at, Math.min(maxRead, size - at))
    at += bytes.length
    yield asTerminal(bytes)
  }
}

/** 0 while there is no log yet. */
async function sizeOf(path: string): Promise<number> {
  const file = await openLog(path)
  if (file === null) return 0
  try {
    return (await file.stat()).size
  } finally {
    await file.close()
  }
}

async function read(path: string, position: number, length: number): Promise<Uint8Array> {
  const file = await openLog(path)
  if (file === null) return new Uint8Array()
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

async function openLog(path: string) {
  try {
    return await open(path, 'r')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    throw new BmcError(`The log of the file-backed server cannot be read (${code}).`, {
      fault: 'unreachable',
      outcome: 'refused',
      remedy: `Check ${path}.`,
      cause,
    })
  }
}

/** A log ends its lines with LF alone; a terminal needs CR before it. */
const asTerminal = (bytes: Uint8Array): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1')
