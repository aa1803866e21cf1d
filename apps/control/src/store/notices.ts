import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Connection, poolOptions } from './database.ts'

/** How soon a change is seen when its notice was lost, in ms. */
const missedMs = 2000
const reconnectMs = 500

/** PostgreSQL's LISTEN: what any replica has told by `pg_notify`, as long as the connection holds. */
export interface Notices {
  /**
   * Resolves at the next notice whose payload is this one, or after a while without. Never rejects; ends when `signal`
   * aborts. Who waits looks by himself afterwards, so that a lost notice costs time only.
   */
  next(channel: string, payload: string, signal: AbortSignal): Promise<void>
  /** Hears every payload of the channel from now on, until the returned function is called. What is lost is lost. */
  hear(channel: string, listener: (payload: string) => void): () => void
  close(): Promise<void>
}

/** Listens on a connection of its own, and opens it again when it is lost. */
export function listenForNotices(connection: Connection, channels: readonly string[]): Notices {
  const payloads = new EventEmitter().setMaxListeners(0)
  const byChannel = new EventEmitter().setMaxListeners(0)
  const closing = new AbortController()
  let client: pg.Client | null = null

  const listen = async () => {
    while (!closing.signal.aborted) {
      client = new pg.Client(poolOptions(connection, 1))
      const ended = new Promise<void>((resolve) => client?.once('end', resolve).on('error', () => resolve()))
      client.on('notification', ({ channel, payload = '' }) => {
        payloads.emit(`${channel} ${payload}`)
        byChannel.emit(channel, payload)
      })
      try {
        await client.connect()
        for (const channel of channels) await client.query(`listen ${channel}`)
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
    next: async (channel, payload, signal) => {
      const within = AbortSignal.any([signal, closing.signal, AbortSignal.timeout(missedMs)])
      await once(payloads, `${channel} ${payload}`, { signal: within }).catch(() => undefined)
    },
    hear: (channel, listener) => {
      byChannel.on(channel, listener)
      return () => void byChannel.off(channel, listener)
    },
    close: async () => {
      closing.abort()
      await client?.end().catch(() => undefined)
      await listening
    },
  }
}
