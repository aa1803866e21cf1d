import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { type Caller } from '../http/ports.ts'
import { type Db, type Trx } from './database.ts'

export interface AuditEntry {
  /** See `callerName`; `agent` or `workflow` else. */
  actor: string
  action: string
  serviceName?: string | null
  deploymentId?: string | null
  epoch?: number | null
  /** Nothing secret. */
  detail?: Record<string, unknown>
}

/** Any number; held until the transaction ends, so that the chain has one order. */
const chainLock = 0x62796f69

export const callerName = (by: Caller): string =>
  `key ${by.applicationKey} account ${by.account} address ${by.address} query ${by.queryId}`

/**
 * Appends one row in the transaction of the change that it tells of: no audit, no change. Each row's hash covers the row
 * before it, so that a row that was changed or removed is found by `verifyAudit`. Call it last: it serialises.
 */
export async function appendAudit(trx: Trx, entry: AuditEntry): Promise<void> {
  await sql`select pg_advisory_xact_lock(${sql.lit(chainLock)})`.execute(trx)
  const last = await trx
    .selectFrom('audit')
    .select(['id', 'hash'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  const now = await sql<{ at: Date }>`select clock_timestamp() as at`.execute(trx)
  // Milliseconds are what a Date keeps; the stored time must be the hashed one.
  const at = new Date((now.rows[0]?.at ?? new Date(0)).getTime())
  const row = {
    id: (last?.id ?? 0) + 1,
    at,
    actor: entry.actor,
    action: entry.action,
    service_name: entry.serviceName ?? null,
    deployment_id: entry.deploymentId ?? null,
    epoch: entry.epoch ?? null,
    detail: entry.detail ?? {},
    previous_hash: last?.hash ?? '',
  }
  await trx
    .insertInto('audit')
    .values({ ...row, detail: JSON.stringify(row.detail), hash: hashOf(row) })
    .execute()
}

interface HashedRow {
  id: number
  at: Date
  actor: string
  action: string
  service_name: string | null
  deployment_id: string | null
  epoch: number | null
  detail: Record<string, unknown>
  previous_hash: string
}

function hashOf(row: HashedRow): string {
  const { id, at, actor, action, service_name, deployment_id, epoch, detail, previous_hash } = row
  const fields = [id, at.toISOString(), actor, action, service_name, deployment_id, epoch, sorted(detail)]
  return createHash('sha256')
    .update(JSON.stringify([...fields, previous_hash]))
    .digest('hex')
}

/** jsonb does not keep the order of members. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .map(([key, member]) => [key, sorted(member)])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
}

/** The id of the first row that does not fit the chain; null when it is whole. */
export async function verifyAudit(db: Db): Promise<number | null> {
  let previous = { id: 0, hash: '' }
  for (;;) {
    const rows = await db
      .selectFrom('audit')
      .selectAll()
      .where('id', '>', previous.id)
      .orderBy('id')
      .limit(1000)
      .execute()
    if (rows.length === 0) return null
    for (const row of rows) {
      const fits =
        row.id === previous.id + 1 && row.previous_hash === previous.hash && row.hash === hashOf(row)
      if (!fits) return row.id
      previous = row
    }
  }
}
