import { setTimeout as sleep } from 'node:timers/promises'
import { type ConsoleSession } from '@byoi/bmc'
import { orAborted, untilAborted } from './abortable.ts'
import { maxRowBytes } from './bounds.ts'
import { OutputBuffer, type Piece } from './output-buffer.ts'
import { type TypedInput } from './typed-input.ts'

/** The first bytes are stored at once, those after them together after this time, in ms. */
const gatherMs = 100
/** Silence after which a prompt is one. */
const quietMs = 1000

export interface Pump {
  session: ConsoleSession
  typed: TypedInput
  store: (piece: Piece) => Promise<void>
  /** Called now and then while nothing is shown. */
  quiet: () => Promise<void>
  /** Ends it. */
  signal: AbortSignal
}

/**
 * Carries bytes between a session and the database until the session ends or the signal aborts; what was shown by then is stored.
 * Throws what the session or the database throws.
 */
export async function pump({ session, typed, store, quiet, signal }: Pump): Promise<void> {
  const output = new OutputBuffer()
  const over = new AbortController()
  const within = AbortSignal.any([signal, over.signal])
  const parts = [
    readAll(session, output, within),
    storeAll(output, store, quiet, within),
    typeAll(session, typed, within),
  ] as const
  const [reading, storing, typing] = parts
  // Nothing is to be awaited for ever, and no rejection to be left alone.
  for (const part of [storing, typing]) part.catch(() => over.abort())
  try {
    await reading
    await storing
  } finally {
    over.abort()
    await Promise.allSettled(parts)
  }
  await typing
}

async function readAll(session: ConsoleSession, output: OutputBuffer, signal: AbortSignal): Promise<void> {
  try {
    for await (const chunk of untilAborted(session.output, signal)) output.push(chunk)
  } finally {
    output.end()
  }
}

async function storeAll(
  output: OutputBuffer,
  store: Pump['store'],
  quiet: Pump['quiet'],
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const piece = await output.next(maxRowBytes, quietMs)
    if (piece === null) return
    if (piece === 'quiet') {
      await quiet()
      continue
    }
    await store(piece)
    if (output.size < maxRowBytes) await sleep(gatherMs, undefined, { signal }).catch(() => undefined)
  }
}

async function typeAll(session: ConsoleSession, typed: TypedInput, signal: AbortSignal): Promise<void> {
  try {
    for await (const bytes of typed.taken(signal)) await orAborted(session.write(bytes), signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
