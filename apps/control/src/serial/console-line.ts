import { setTimeout as sleep } from 'node:timers/promises'
import { BmcError, type BmcFault, type ConsoleSession, type SerialConsole } from '@byoi/bmc'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Db, isAway } from '../store/database.ts'
import { orAborted } from './abortable.ts'
import { BootWatch } from './boot-watch.ts'
import { trimEveryBytes } from './bounds.ts'
import { noteUnrecorded, showState } from './console-state.ts'
import { type Piece } from './output-buffer.ts'
import { pump } from './pump.ts'
import { type Recorded, recordOutput, trimRecording } from './record-output.ts'
import { TypedInput } from './typed-input.ts'

/** More than a driver takes that sends an old session away first. */
const openTimeoutMs = 150_000
/** More than a driver takes to leave a BMC that does not answer. */
const closeTimeoutMs = 25_000
/** Between two sessions: BMCs drop them at each power cycle. Doubled up to the longest while none holds. */
const firstPauseMs = 1000
const longestPauseMs = 30_000
/** A session that held for so long was a good one. */
const settledMs = 10_000
/** A password that is refused is not tried again soon, because BMCs lock accounts. */
const refusedPauseMs = 10 * 60_000
const noteEveryMs = 5000
/** Faults that do not pass by themselves. */
const lasting: readonly BmcFault[] = ['in-use', 'authentication', 'identity', 'refused']

/**
 * One server's console, kept open from now until `release`: what it shows is stored, what is typed is written to it. Works on the
 * connection that holds the console's lock: when that is lost, nothing is stored any more and `lost` resolves.
 */
export class ConsoleLine {
  /** Resolves when the database is lost, with the reason. */
  readonly lost: Promise<unknown>
  readonly #context: WorkflowContext
  readonly #locked: Db
  readonly #serverId: number
  readonly #leaving = new AbortController()
  readonly #typed = new TypedInput()
  readonly #watch: BootWatch
  readonly #ended: Promise<void>
  /** Why the console cannot be had, where that will not pass by itself. */
  #refusal: string | null = null
  #trimmed = { recordingId: 0, total: 0 }

  constructor(context: WorkflowContext, locked: Db, serverId: number) {
    this.#context = context
    this.#locked = locked
    this.#serverId = serverId
    this.#watch = new BootWatch(context.db)
    const kept = this.#keep()
    this.#ended = kept.catch(() => undefined)
    this.lost = new Promise((resolve) => {
      kept.catch(resolve)
    })
  }

  /** What comes while no session is open is dropped: keys that are typed into a lost console must not act later. */
  type(bytes: Uint8Array): void {
    this.#typed.push(bytes)
  }

  /** Closes the session; what it has shown so far is stored first. Does nothing the second time. */
  async release(): Promise<void> {
    this.#leaving.abort()
    await this.#ended
  }

  async #keep(): Promise<void> {
    const { signal } = this.#leaving
    let pauseMs = firstPauseMs
    while (!signal.aborted) {
      const begun = performance.now()
      const fault = await this.#session().catch((error: unknown) => this.#unexpected(error))
      pauseMs = performance.now() - begun >= settledMs ? firstPauseMs : pauseMs
      const wait = fault === 'authentication' || fault === 'identity' ? refusedPauseMs : pauseMs
      pauseMs = Math.min(longestPauseMs, pauseMs * 2)
      await this.#pause(wait).catch((error: unknown) => this.#unexpected(error))
    }
  }

  /** Why the console cannot be had is also noted with a deployment that begins meanwhile. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#leaving
    const { db, settings } = this.#context
    const until = performance.now() + ms
    while (performance.now() < until && !signal.aborted) {
      if (this.#refusal !== null) await noteUnrecorded(db, this.#serverId, this.#refusal, settings)
      const rest = Math.min(noteEveryMs, until - performance.now())
      await sleep(Math.max(0, rest), undefined, { signal }).catch(() => undefined)
    }
  }

  /** A fault of ours ends this console's session only; without the database, none goes on. */
  #unexpected(error: unknown): null {
    if (isAway(error)) throw error
    const { name, stack } = error as Error
    this.#context.logger.error({ server: this.#serverId, name, stack }, 'a serial console failed')
    return null
  }

  /** From opening a session to its end. Returns the fault that ended it, if one did. */
  async #session(): Promise<BmcFault | null> {
    await this.#show('connecting')
    try {
      await this.#opened(async (session) => {
        this.#refusal = null
        await this.#show('open')
        const { signal } = this.#leaving
        await pump({ session, typed: this.#typed, store: this.#store, quiet: this.#quiet, signal })
      })
      return null
    } catch (error) {
      if (this.#leaving.signal.aborted) return null
      if (isAway(error)) throw error
      return await this.#failed(error)
    }
  }

  /** The BMC is opened anew each time: its settings may have been changed. */
  async #opened(use: (session: ConsoleSession) => Promise<void>): Promise<void> {
    const { openBmc, db } = this.#context
    const row = await db.selectFrom('server').selectAll().where('id', '=', this.#serverId).executeTakeFirst()
    if (row === undefined) return
    const bmc = openBmc(row)
    try {
      if (bmc.console === null) return
      const session = await openSession(bmc.console, this.#leaving.signal)
      try {
        await use(session)
      } finally {
        await Promise.race([session.close(), sleep(closeTimeoutMs, undefined, { ref: false })])
      }
    } finally {
      await bmc.close()
    }
  }

  readonly #store = async (piece: Piece): Promise<void> => {
    const recorded = await recordOutput(this.#locked, this.#serverId, piece, this.#context.settings)
    await this.#watch.heard(recorded, piece.data)
    await this.#trim(recorded)
  }

  readonly #quiet = async (): Promise<void> => await this.#watch.quiet()

  async #trim(recorded: Recorded): Promise<void> {
    const { recordingId, total } = recorded
    const same = recordingId === this.#trimmed.recordingId
    if (same && total - this.#trimmed.total < trimEveryBytes) return
    await trimRecording(this.#locked, recorded)
    this.#trimmed = { recordingId, total }
  }

  async #failed(error: unknown): Promise<BmcFault | null> {
    const { logger } = this.#context
    const known = error instanceof BmcError ? error : null
    // A driver's own sentences only: what else is thrown may hold what the console showed.
    const { name, code } = error as { name?: unknown; code?: unknown }
    logger.warn({ server: this.#serverId, fault: known?.fault, name, code }, 'a serial console broke off')
    const message = known === null ? 'The console failed unexpectedly.' : `${known.message} ${known.remedy}`
    await this.#show(known?.fault === 'in-use' ? 'in-use' : 'failed', message)
    this.#refusal = known !== null && lasting.includes(known.fault) ? message : null
    return known?.fault ?? null
  }

  async #show(
    state: 'connecting' | 'open' | 'in-use' | 'failed',
    message: string | null = null,
  ): Promise<void> {
    await showState(this.#locked, this.#serverId, { state, message })
  }
}

/** Throws what the driver throws, and when it takes too long. */
async function openSession(console: SerialConsole, leaving: AbortSignal): Promise<ConsoleSession> {
  const signal = AbortSignal.any([leaving, AbortSignal.timeout(openTimeoutMs)])
  const opening = console.openConsole(signal)
  try {
    return await orAborted(opening, signal)
  } catch (error) {
    // One that comes too late is not left open.
    opening.then((late) => late.close()).catch(() => undefined)
    if (error !== signal.reason) throw error
    throw new BmcError(`The console did not open within ${openTimeoutMs / 1000} seconds.`, {
      fault: 'unreachable',
      outcome: 'unknown',
      remedy: "Check the BMC's address and its network.",
      cause: error,
    })
  }
}
