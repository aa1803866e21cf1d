import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Db } from '../store/database.ts'
import { type Notices } from '../store/notices.ts'
import { ConsoleLine } from './console-line.ts'
import { clearState } from './console-state.ts'
import { hasConsole } from './has-console.ts'
import { Nudges } from './nudges.ts'
import { pruneRecordings } from './record-output.ts'
import { forgetGone, wantedServers } from './wanted.ts'

/** Heard by whoever holds a console: the server's number, a space, what was typed in base64. Kept nowhere. */
export const inputChannel = 'byoi_serial_input'
/** Heard when somebody begins to look at a console. */
export const viewerChannel = 'byoi_serial_viewer'

const sweepMs = 1000
/** A server without a console is asked for it again after this time: its settings may have changed. */
const withoutConsoleMs = 60_000
const pruneEveryMs = 10 * 60_000
/** Two-part advisory locks: the first number says what the second is about. */
const consoleLocks = 0x627973
/** A replica that was stopped for longer has lost its consoles when it goes on. */
const lockLifeMs = 15_000

/**
 * Keeps the consoles open that are wanted, as long as no other replica does: one lock per server, all of them on one connection, so
 * that they are lost with the replica. What consoles show is written over the same connection: without the lock, nothing is. A
 * fault here never touches a deployment. Returns what stops it.
 */
export function startSerialKeeper(context: WorkflowContext, notices: Notices): () => Promise<void> {
  const stopping = new AbortController()
  const keep = async () => {
    while (!stopping.signal.aborted) {
      try {
        await context.db
          .connection()
          .execute(async (locked) => await new SerialKeeper(context, notices, locked).keep(stopping.signal))
      } catch (error) {
        // No more of it: drivers hang the values of a failed query onto their errors.
        const { name, code } = error as { name?: unknown; code?: unknown }
        context.logger.warn({ name, code }, 'the serial consoles were lost and are opened again')
      }
      await sleep(sweepMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const keeping = keep()
  return async () => {
    stopping.abort()
    await keeping
  }
}

/** The consoles that are held over one connection. */
class SerialKeeper {
  readonly #context: WorkflowContext
  readonly #notices: Notices
  readonly #locked: Db
  readonly #lines = new Map<number, ConsoleLine>()
  /** Lines that are being closed. */
  readonly #leaving = new Map<number, Promise<void>>()
  /** Servers without a console, and until when that is believed. */
  readonly #without = new Map<number, number>()
  readonly #lost = Promise.withResolvers<never>()
  #prunedAt = -Infinity

  constructor(context: WorkflowContext, notices: Notices, locked: Db) {
    this.#context = context
    this.#notices = notices
    this.#locked = locked
    this.#lost.promise.catch(() => undefined)
  }

  /** Until the signal aborts. Throws when the connection is lost. */
  async keep(signal: AbortSignal): Promise<void> {
    const nudges = new Nudges()
    const deaf = [
      this.#notices.hear(inputChannel, (payload) => this.#type(payload)),
      this.#notices.hear(viewerChannel, () => nudges.nudge()),
    ]
    try {
      // What a console shows is not worth a flush of the disk each time; a dead replica loses none of it.
      await sql`select set_config('idle_session_timeout', ${String(lockLifeMs)}, false),
        set_config('synchronous_commit', 'off', false)`.execute(this.#locked)
      while (!signal.aborted) {
        await Promise.race([this.#sweep(), this.#lost.promise])
        await Promise.race([nudges.next(sweepMs, signal), this.#lost.promise])
      }
    } finally {
      for (const stop of deaf) stop()
      await this.#letGo()
    }
  }

  async #sweep(): Promise<void> {
    const wanted = await wantedServers(this.#locked, this.#context.settings)
    for (const id of this.#lines.keys()) if (!wanted.has(id)) this.#release(id)
    const now = performance.now()
    const free = [...wanted].filter(
      (id) => !this.#lines.has(id) && !this.#leaving.has(id) && (this.#without.get(id) ?? 0) <= now,
    )
    for (const id of await this.#lock(free)) {
      if (await this.#hasConsole(id)) this.#hold(id)
      else await this.#unlock(id)
    }
    if (now - this.#prunedAt < pruneEveryMs) return
    this.#prunedAt = now
    // Not waited for: the connection that holds the locks must not fall silent meanwhile.
    this.#prune().catch((error: unknown) =>
      this.#context.logger.warn({ err: error }, 'old recordings of consoles could not be dropped'),
    )
  }

  async #prune(): Promise<void> {
    await forgetGone(this.#context.db)
    await pruneRecordings(this.#context.db, this.#context.settings)
  }

  #hold(id: number): void {
    const line = new ConsoleLine(this.#context, this.#locked, id)
    this.#lines.set(id, line)
    line.lost.then(this.#lost.reject).catch(() => undefined)
  }

  #release(id: number): void {
    const line = this.#lines.get(id)
    if (line === undefined) return
    this.#lines.delete(id)
    const leaving = (async () => {
      await line.release()
      await clearState(this.#locked, id)
      await this.#unlock(id)
      this.#leaving.delete(id)
    })()
    leaving.catch(this.#lost.reject)
    this.#leaving.set(id, leaving)
  }

  async #hasConsole(id: number): Promise<boolean> {
    const { db, logger } = this.#context
    const row = await db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) return false
    try {
      if (await hasConsole(this.#context, row)) return true
    } catch (error) {
      logger.warn({ server: id, err: error }, 'the BMC of a server cannot be opened for its console')
    }
    this.#without.set(id, performance.now() + withoutConsoleMs)
    return false
  }

  /** Of these servers the ones whose console no other replica holds: they are ours from now on. */
  async #lock(ids: number[]): Promise<number[]> {
    if (ids.length === 0) return []
    const { rows } = await sql<{ id: number; ours: boolean }>`
      select id, pg_try_advisory_lock(${consoleLocks}, id) as ours from unnest(${ids}::integer[]) as id`.execute(
      this.#locked,
    )
    return rows.filter(({ ours }) => ours).map(({ id }) => id)
  }

  async #unlock(id: number): Promise<void> {
    await sql`select pg_advisory_unlock(${consoleLocks}, ${id})`.execute(this.#locked)
  }

  #type(payload: string): void {
    const [, id, base64] = /^([0-9]{1,10}) ([A-Za-z0-9+/=]*)$/.exec(payload) ?? []
    if (base64 !== undefined) this.#lines.get(Number(id))?.type(Buffer.from(base64, 'base64'))
  }

  /** Closes all lines; the locks go back, or are lost with their connection. */
  async #letGo(): Promise<void> {
    for (const id of this.#lines.keys()) this.#release(id)
    await Promise.allSettled(this.#leaving.values())
    await sql`select pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false),
      set_config('synchronous_commit', 'on', false)`
      .execute(this.#locked)
      .catch(() => undefined)
  }
}
