import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Connection, poolOptions } from '../store/database.ts'
import { changeChannel } from './transition.ts'

/** How soon a change is seen when its notice was lost, in ms. */
const missedMs = 2000
const reconnectMs = 500

/** Tells when a deployment has changed, on whichever replica. */
export interface Changes {
  /** Resolves at the next change of the deployment, or after a while without one. Never rejects; ends when `signal` aborts. */
  next(deploymentId: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Listens on a connection of its own, and opens it again when it is lost. */
export function listenForChanges(connection: Connection): Changes {
  const changes = new EventEmitter().setMaxListeners(0)
  const closing = new AbortController()
  let client: pg.Client | null = null

  const listen = async () => {
    while (!closing.signal.aborted) {
      client = new pg.Client(poolOptions(connection, 1))
      const ended = new Promise<void>((resolve) => client?.once('end', resolve).on('error', () => resolve()))
      client.on('notification', ({ payload }) => changes.emit(payload ?? ''))
      try {
        await client.connect()
        await client.query(`listen ${changeChannel}`)
        await ended
      } catch {
        // The database is away; those who wait look by themselves meanwhile.
      }
      await client.end().catch(() => undefined)
      await sleep(reconnectMs, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }
  const listening = listen()

  return {
    next: async (id, signal) => {
      const within = AbortSignal.any([signal, closing.signal, AbortSignal.timeout(missedMs)])
      await once(changes, id, { signal: within }).catch(() => undefined)
    },
    close: async () => {
      closing.abort()
      await client?.end().catch(() => undefined)
      await listening
    },
  }
}
