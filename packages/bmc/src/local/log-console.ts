import { type FileHandle, open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { BmcError, type SerialConsole } from '../bmc.ts'

const pollMs = 200
const maxRead = 64 * 1024

/**
 * The console of a file-backed server: what its agent writes into its log, from the opening on. Nothing else runs there, so
 * nothing is shown of the system on its disk, and what is typed is read by nobody.
 */
export const logConsole = (path: string): SerialConsole => ({
  openConsole: async (signal) => {
    signal.throwIfAborted()
    const found = await existing(stat(path), path)
    const closing = new AbortController()
    return {
      output: follow(path, found?.size ?? 0, closing.signal),
      write: async () => undefined,
      close: async () => closing.abort(),
    }
  },
})

async function* follow(path: string, begin: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let log: FileHandle | null = null
  let at = begin
  try {
    while (!signal.aborted) {
      log ??= await existing(open(path, 'r'), path)
      const bytes = log === null ? Buffer.alloc(0) : await read(log, at)
      at += bytes.length
      if (bytes.length > 0) yield asTerminal(bytes)
      else await sleep(pollMs, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    await log?.close()
  }
}

async function read(log: FileHandle, position: number): Promise<Buffer> {
  const { size } = await log.stat()
  const { bytesRead, buffer } = await log.read({
    buffer: Buffer.alloc(Math.min(maxRead, Math.max(0, size - position))),
    position,
  })
  return buffer.subarray(0, bytesRead)
}

/** null while there is no log yet. */
async function existing<T>(asked: Promise<T>, path: string): Promise<T | null> {
  try {
    return await asked
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
const asTerminal = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1')
