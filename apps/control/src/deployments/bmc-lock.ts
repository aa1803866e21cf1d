import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Db } from '../store/database.ts'

/** More than one BMC command takes. A replica that was stopped for longer has lost its lock when it goes on. */
const lockLifeMs = 240_000
/** Two-part advisory locks: the first number says what the second is about. */
const serverLocks = 0x62796f
const askAgainMs = 250

/**
 * Runs on one connection that holds the server's lock; null when another one does. Whoever holds it is the only one, of all replicas, to
 * talk to the server's BMC.
 */
export async function withBmcLock<T>(
  db: Db,
  server: number,
  run: (locked: Db) => Promise<T>,
): Promise<{ value: T } | null> {
  return await db.connection().execute(async (locked) => {
    const { rows } = await sql<{ ours: boolean }>`
      select pg_try_advisory_lock(${serverLocks}, ${server}) as ours`.execute(locked)
    if (rows[0]?.ours !== true) return null
    try {
      await sql`select set_config('idle_session_timeout', ${String(lockLifeMs)}, false)`.execute(locked)
      return { value: await run(locked) }
    } finally {
      // On a connection that is lost, the lock is lost with it.
      await sql`select pg_advisory_unlock(${serverLocks}, ${server}), set_config('idle_session_timeout', '0', false)`
        .execute(locked)
        .catch(() => undefined)
    }
  })
}

/** The same for a person who asks: waits for the lock. null when the workflow has not left the BMC within `waitMs`. */
export async function withBmcLockSoon<T>(
  db: Db,
  server: number,
  waitMs: number,
  run: () => Promise<T>,
): Promise<{ value: T } | null> {
  const until = performance.now() + waitMs
  for (;;) {
    const ran = await withBmcLock(db, server, run)
    if (ran !== null || performance.now() > until) return ran
    await sleep(askAgainMs)
  }
}
