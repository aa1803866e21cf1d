import { type BootEvidence } from '@byoi/contract'
import { sql } from 'kysely'
import { changeChannel, databaseTime } from '../deployments/transition.ts'
import { type DeploymentRow, type WorkflowContext } from '../deployments/workflow-context.ts'
import { appendAudit } from '../store/audit.ts'
import { type Trx } from '../store/database.ts'

/**
 * Stores that the deployed system came up, with its audit row. The first evidence stays; `notes` are added all the same. False
 * when the server was not started from its disk by this deployment, so that it cannot be so.
 */
export async function storeBooted(
  trx: Trx,
  deploymentId: string,
  by: BootEvidence,
  notes: readonly string[] = [],
): Promise<boolean> {
  const row = await trx
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', deploymentId)
    .where('kind', '=', 'deploy')
    .where('state', 'in', ['open', 'done'])
    .where(sql<boolean>`(evidence ->> 'resetOn')::bigint = epoch`)
    .forUpdate()
    .executeTakeFirst()
  if (row === undefined) return false
  const more = notes.filter((note) => !row.notes.includes(note))
  if (row.booted !== null && more.length === 0) return true
  const now = await databaseTime(trx)
  await trx
    .updateTable('deployment')
    .set({
      booted: JSON.stringify(row.booted ?? { at: now.toISOString(), by }),
      notes: JSON.stringify([...row.notes, ...more]),
      version: sql`version + 1`,
      updated_at: now,
    })
    .where('id', '=', deploymentId)
    .execute()
  await sql`select pg_notify(${changeChannel}, ${deploymentId})`.execute(trx)
  await appendAudit(trx, {
    actor: by === 'phone-home' ? 'deployed system' : 'serial console',
    action: 'deployment.booted',
    serviceName: row.service_name,
    deploymentId,
    epoch: row.epoch,
    detail: { by },
  })
  return true
}

/**
 * Whether evidence may still come for a deployment that has ended well: its system was asked to phone home, or its console is
 * being recorded, and the time for it is not over. A file-backed server's disk never runs.
 */
export async function awaitsBoot(
  { db, settings }: Pick<WorkflowContext, 'db' | 'settings'>,
  row: DeploymentRow,
): Promise<boolean> {
  if (row.kind !== 'deploy' || row.state !== 'done' || row.booted !== null) return false
  const found = await db
    .selectFrom('deployment')
    .innerJoin('server', 'server.id', 'deployment.server_id')
    .leftJoin('serial_console', 'serial_console.server_id', 'deployment.server_id')
    .select('deployment.id')
    .where('deployment.id', '=', row.id)
    .where('server.bmc_kind', '<>', 'local')
    .where(
      sql<boolean>`deployment.ended_at > clock_timestamp() - ${settings.consoleAfterMs} * interval '1 millisecond'`,
    )
    .where((where) =>
      where.or([
        where('deployment.phone_home_hash', 'is not', null),
        where('serial_console.state', '<>', 'failed'),
      ]),
    )
    .executeTakeFirst()
  return found !== undefined
}
