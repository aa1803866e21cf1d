import { type DeploymentKind } from '@byoi/contract'
import { type RawBuilder, sql } from 'kysely'
import { type WorkflowSettings } from '../deployments/settings.ts'
import { type Db } from '../store/database.ts'
import { boundsOf, cutOut } from './bounds.ts'
import { type Piece } from './output-buffer.ts'

/** Heard by everybody who watches consoles; the payload is the server's number. */
export const outputChannel = 'byoi_serial_output'

/**
 * Deployments whose server's console is recorded: from their first act on its power until some minutes after their end. For the
 * WHERE of a query on `deployment`.
 */
export const isRecorded = ({
  consoleAfterMs,
}: Pick<WorkflowSettings, 'consoleAfterMs'>): RawBuilder<boolean> =>
  sql<boolean>`(deployment.evidence ->> 'powerTouched')::boolean and coalesce(
    deployment.ended_at, timestamptz 'infinity') > now() - ${consoleAfterMs} * interval '1 millisecond'`

/** Where a piece went. */
export interface Recorded {
  recordingId: number
  /** Of the first byte of the data, counted from the beginning of the recording. */
  position: number
  /** Bytes of the recording so far, those that were dropped or cut out included. */
  total: number
  /** null: what was shown is no part of a deployment. */
  deploymentId: string | null
  kind: DeploymentKind | null
  booted: boolean
  /** From here on the system on the disk can have written it; null: its deployment has not come to that. */
  resetAt: number | null
}

/** Stores a piece and tells the viewers, in one statement on the connection that holds the console's lock. */
export async function recordOutput(
  locked: Db,
  serverId: number,
  { dropped, data }: Piece,
  settings: Pick<WorkflowSettings, 'consoleAfterMs'>,
): Promise<Recorded> {
  const bytes = dropped + data.length
  const { rows } = await sql<Recorded>`
    with current as (
      select id, kind, booted <> 'null' as booted,
        state in ('open', 'done') and (evidence ->> 'resetOn')::bigint = epoch as reset
      from deployment
      where server_id = ${serverId} and ${isRecorded(settings)}
      order by created_at desc
      limit 1
    ), recording as (
      insert into serial_recording as old (server_id, deployment_id, bytes, reset_at)
      values (${serverId}, (select id from current), ${bytes}, case when (select reset from current) then 0 end)
      on conflict (server_id, deployment_id) do update set
        bytes = old.bytes + excluded.bytes,
        written_at = clock_timestamp(),
        reset_at = coalesce(old.reset_at, case when (select reset from current) then old.bytes end)
      returning id, bytes, reset_at
    ), stored as (
      insert into serial_output (recording_id, server_id, position, data)
      select id, ${serverId}::integer, bytes - ${data.length}, ${Buffer.from(data)}::bytea from recording
    )
    select recording.id as "recordingId", recording.bytes - ${data.length} as position,
      recording.bytes as total, recording.reset_at as "resetAt",
      current.id as "deploymentId", current.kind, coalesce(current.booted, false) as booted,
      pg_notify(${outputChannel}, ${String(serverId)})
    from recording left join current on true`.execute(locked)
  const [row] = rows
  if (row === undefined) throw new Error('The output was not stored.')
  return row
}

/** Drops the rows that are wholly outside of what is kept of the recording. */
export async function trimRecording(locked: Db, recorded: Recorded): Promise<void> {
  const cut = cutOut(boundsOf(recorded.deploymentId), recorded.total)
  if (cut === null) return
  await sql`
    delete from serial_output
    where recording_id = ${recorded.recordingId}
      and position >= ${cut.from} and position + length(data) <= ${cut.to}`.execute(locked)
}

/** Of which one statement drops no more, so that none takes long. */
const prunedAtOnce = 100

/** Recordings that nothing was added to for so long are dropped. */
export async function pruneRecordings(
  db: Db,
  { consoleKeepMs }: Pick<WorkflowSettings, 'consoleKeepMs'>,
): Promise<void> {
  for (;;) {
    const { numAffectedRows } = await sql`
      delete from serial_recording where id in (
        select id from serial_recording
        where written_at < now() - ${consoleKeepMs} * interval '1 millisecond'
        limit ${prunedAtOnce}
      )`.execute(db)
    if (Number(numAffectedRows ?? 0) < prunedAtOnce) return
  }
}
