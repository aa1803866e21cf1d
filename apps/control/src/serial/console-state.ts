import { type SerialState } from '@byoi/contract'
import { sql } from 'kysely'
import { changeChannel } from '../deployments/transition.ts'
import { type WorkflowSettings } from '../deployments/settings.ts'
import { appendAudit } from '../store/audit.ts'
import { type Db } from '../store/database.ts'
import { isRecorded, outputChannel } from './record-output.ts'

export interface ConsoleState {
  state: SerialState
  /** Why the console cannot be seen: a driver's own sentences. */
  message: string | null
}

/** Tells viewers how it stands with a console, on the connection that holds its lock. */
export async function showState(
  locked: Db,
  serverId: number,
  { state, message }: ConsoleState,
): Promise<void> {
  await sql`
    with shown as (
      insert into serial_console (server_id, state, message)
      select id, ${state}, ${message} from server where id = ${serverId}
      on conflict (server_id) do update set state = excluded.state, message = excluded.message
    )
    select pg_notify(${outputChannel}, ${String(serverId)})`.execute(locked)
}

/** Nobody holds the console any more. */
export async function clearState(locked: Db, serverId: number): Promise<void> {
  await locked.deleteFrom('serial_console').where('server_id', '=', serverId).execute()
}

export async function readState(db: Db, serverId: number): Promise<ConsoleState> {
  const row = await db
    .selectFrom('serial_console')
    .select(['state', 'message'])
    .where('server_id', '=', serverId)
    .executeTakeFirst()
  return row ?? { state: 'connecting', message: null }
}

/** Notes with the deployment that is recorded why its console cannot be, once. */
export async function noteUnrecorded(
  db: Db,
  serverId: number,
  reason: string,
  settings: Pick<WorkflowSettings, 'consoleAfterMs'>,
): Promise<void> {
  const note = `The serial console is not recorded. ${reason}`
  await db.transaction().execute(async (trx) => {
    const row = await trx
      .selectFrom('deployment')
      .select(['id', 'service_name', 'epoch', 'notes'])
      .where('server_id', '=', serverId)
      .where(isRecorded(settings))
      .orderBy('created_at', 'desc')
      .limit(1)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined || row.notes.includes(note)) return
    await trx
      .updateTable('deployment')
      .set({
        notes: JSON.stringify([...row.notes, note]),
        version: sql`version + 1`,
        updated_at: sql`clock_timestamp()`,
      })
      .where('id', '=', row.id)
      .execute()
    await sql`select pg_notify(${changeChannel}, ${row.id})`.execute(trx)
    await appendAudit(trx, {
      actor: 'serial console',
      action: 'console.unrecorded',
      serviceName: row.service_name,
      deploymentId: row.id,
      epoch: row.epoch,
      detail: { reason },
    })
  })
}
