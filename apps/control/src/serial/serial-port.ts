import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { serialTailBytes } from '@byoi/contract'
import { sql } from 'kysely'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Caller, type Serial, type SerialEvent, type Server } from '../http/ports.ts'
import { appendAudit, callerName } from '../store/audit.ts'
import { answering, type Db } from '../store/database.ts'
import { type Notices } from '../store/notices.ts'
import { readState } from './console-state.ts'
import { hasConsole } from './has-console.ts'
import { findEnd, readAfter, readRecording, readTail, type ShownRow } from './read-output.ts'
import { outputChannel } from './record-output.ts'
import { inputChannel, viewerChannel } from './serial-keeper.ts'
import { viewerHeartbeatMs } from './wanted.ts'

const ticketMs = 30_000
/** A notice holds less than 8000 bytes. */
const typedAtOnce = 4096

/** What the API asks of serial consoles. Any replica can answer: everything goes through the database. */
export function serialPort(context: WorkflowContext, notices: Notices): Serial {
  const { db } = context
  return {
    hasConsole: (serviceName) =>
      answering(async () => {
        const row = await db
          .selectFrom('server')
          .selectAll()
          .where('service_name', '=', serviceName)
          .executeTakeFirst()
        return row !== undefined && (await hasConsole(context, row))
      }),
    recording: (deploymentId, from) => answering(() => readRecording(db, deploymentId, from)),
    follow: (serverId, after, signal) => follow(db, notices, serverId, after, signal),
    typist: (server, by) => typist(db, server, by),
    issueTicket: (server, by, readonly) => answering(() => issueTicket(db, server, by, readonly)),
    takeTicket: (ticket) =>
      answering(async () => {
        const row = await db
          .deleteFrom('serial_ticket')
          .using('server')
          .whereRef('server.id', '=', 'serial_ticket.server_id')
          .where('hash', '=', hashOf(ticket))
          .where('expires_at', '>', sql<Date>`clock_timestamp()`)
          .returning(['service_name as serviceName', 'credential_id as credentialId', 'readonly'])
          .executeTakeFirst()
        return row ?? null
      }),
  }
}

type Named = Pick<Server, 'serverId' | 'serviceName'>

async function issueTicket(db: Db, { serverId, serviceName }: Named, by: Caller, readonly: boolean) {
  const ticket = randomBytes(32).toString('base64url')
  await db.transaction().execute(async (trx) => {
    await trx
      .insertInto('serial_ticket')
      .values({
        hash: hashOf(ticket),
        server_id: serverId,
        credential_id: by.credentialId,
        readonly,
        expires_at: sql`clock_timestamp() + ${ticketMs} * interval '1 millisecond'`,
      })
      .execute()
    await appendAudit(trx, {
      actor: callerName(by),
      action: 'console.ticket',
      serviceName,
      detail: { readonly },
    })
  })
  return { ticket, expiresIn: ticketMs / 1000 }
}

const hashOf = (ticket: string): string => createHash('sha256').update(ticket).digest('hex')

/** Looks at a console until the signal aborts. While somebody does, some replica keeps it open. */
async function* follow(
  db: Db,
  notices: Notices,
  serverId: number,
  after: number | null,
  signal: AbortSignal,
): AsyncGenerator<SerialEvent> {
  const leave = await enter(db, serverId)
  try {
    const last = after === null ? undefined : await findEnd(db, serverId, after)
    const seen: Seen = last ?? { id: 0, recordingId: 0, end: 0 }
    let shown = ''
    let rows = last === undefined ? await readTail(db, serverId, serialTailBytes) : []
    while (!signal.aborted) {
      // Asked for before the rows are read, so that one in between is not missed.
      const waiting = new AbortController()
      const notice = notices.next(outputChannel, String(serverId), AbortSignal.any([signal, waiting.signal]))
      const state = await readState(db, serverId)
      if (JSON.stringify(state) !== shown) yield { kind: 'state', ...state }
      shown = JSON.stringify(state)
      if (rows.length === 0) rows = await readAfter(db, serverId, seen.id)
      yield* outputOf(rows, seen)
      if (rows.length === 0) await notice
      waiting.abort()
      rows = []
    }
  } finally {
    leave()
  }
}

interface Seen {
  id: number
  recordingId: number
  end: number
}

/** Rows that follow each other as one piece. */
function* outputOf(rows: readonly ShownRow[], seen: Seen): Generator<SerialEvent> {
  let pieces: Uint8Array[] = []
  const output = (): SerialEvent => ({ kind: 'output', data: Buffer.concat(pieces), position: seen.id })
  for (const { id, recordingId, position, data } of rows) {
    const missing = recordingId === seen.recordingId ? position - seen.end : 0
    if (missing > 0) {
      if (pieces.length > 0) yield output()
      pieces = []
      yield { kind: 'missing', bytes: missing }
    }
    pieces.push(data)
    Object.assign(seen, { id, recordingId, end: position + data.length })
  }
  if (pieces.length > 0) yield output()
}

/**
 * Says that somebody looks, and goes on saying so until the returned function is called. The console stays open for a little longer:
 * who comes back after a break finds it, and the BMC is not asked to close and open it for that.
 */
async function enter(db: Db, serverId: number): Promise<() => void> {
  const id = randomUUID()
  await db.insertInto('serial_viewer').values({ id, server_id: serverId }).execute()
  await sql`select pg_notify(${viewerChannel}, ${String(serverId)})`.execute(db)
  const heartbeat = setInterval(() => {
    db.insertInto('serial_viewer')
      .values({ id, server_id: serverId })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ seen_at: sql`clock_timestamp()` }))
      .execute()
      // The database is away, or the server was removed; the reading of rows tells.
      .catch(() => undefined)
  }, viewerHeartbeatMs)
  return () => clearInterval(heartbeat)
}

/** Types on a console: whoever holds it hears it, and nothing is kept. The first time it is audited who did. */
function typist(db: Db, { serverId, serviceName }: Named, by: Caller): (input: Uint8Array) => Promise<void> {
  let audited = false
  return async (input) => {
    if (!audited) {
      audited = true
      await db
        .transaction()
        .execute(
          async (trx) =>
            await appendAudit(trx, { actor: callerName(by), action: 'console.type', serviceName }),
        )
    }
    for (let at = 0; at < input.length; at += typedAtOnce) {
      const text = Buffer.from(input.subarray(at, at + typedAtOnce)).toString('base64')
      await sql`select pg_notify(${inputChannel}, ${`${serverId} ${text}`})`.execute(db)
    }
  }
}
