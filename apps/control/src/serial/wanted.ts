import { sql } from 'kysely'
import { type WorkflowSettings } from '../deployments/settings.ts'
import { type Db } from '../store/database.ts'
import { isRecorded } from './record-output.ts'

/** How often a viewer says that he is there, and how long his console stays open after he last did, in ms. */
export const viewerHeartbeatMs = 5000
export const viewerGoneMs = 15_000

/** Servers whose console is to be open: a deployment is recorded, or somebody looks. */
export async function wantedServers(
  locked: Db,
  settings: Pick<WorkflowSettings, 'consoleAfterMs'>,
): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    select id from server where id in (
      select server_id from deployment where ${isRecorded(settings)}
      union
      select server_id from serial_viewer where seen_at > now() - ${viewerGoneMs} * interval '1 millisecond'
    )`.execute(locked)
  return new Set(rows.map((row) => row.id))
}

/** Viewers who are gone, and tickets that nobody used. */
export async function forgetGone(db: Db): Promise<void> {
  await sql`
    delete from serial_viewer where seen_at < now() - ${viewerGoneMs * 4} * interval '1 millisecond'`.execute(
    db,
  )
  await sql`delete from serial_ticket where expires_at < now()`.execute(db)
}
