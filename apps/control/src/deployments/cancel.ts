import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { appendAudit } from '../store/audit.ts'
import { type Trx } from '../store/database.ts'
import { beginning } from './beginning.ts'
import { noSecrets, seal, unseal, wiped } from './deployment-secrets.ts'
import { diskWithoutAgent } from './outcomes.ts'
import { changeChannel, databaseTime, transition } from './transition.ts'
import { type DeploymentRow, Fenced, type WorkflowContext } from './workflow-context.ts'

/**
 * Cancels a deployment in any state: its epoch is revoked first, so that its agent may not publish any more, and a rescue is
 * opened for the server, all in one transaction. The deployment has ended (`ended_at`) when the rescue has.
 */
export async function cancelNow(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  actor: string,
): Promise<void> {
  const server = await trx
    .updateTable('server')
    .set({ epoch: sql`epoch + 1` })
    .where('id', '=', row.server_id)
    .returning('epoch')
    .executeTakeFirst()
  if (server === undefined) throw new Fenced()
  const rescueSshKey = unseal(context, row)?.configDrive?.sshKey ?? null
  await transition(context, trx, row, {
    state: 'cancelled',
    set: {
      ...wiped,
      hold: null,
      cancel_at: null,
      ended_at: null,
      disk: row.state === 'open' || row.state === 'hold' ? diskWithoutAgent(row) : row.disk,
    },
    look: 'never',
    action: 'deployment.cancel',
    actor,
  })
  await openRescue(context, trx, row, rescueSshKey, actor)
}

async function openRescue(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  sshKey: string | null,
  actor: string,
): Promise<void> {
  const id = randomUUID()
  const now = await databaseTime(trx)
  await trx
    .insertInto('deployment')
    .values({
      id,
      server_id: row.server_id,
      service_name: row.service_name,
      account: row.account,
      kind: 'rescue',
      ...beginning(context, now),
      request: JSON.stringify(null),
      ...seal(context.masterKey, id, { ...noSecrets, rescueSshKey: sshKey }),
      disk: row.disk,
      cancels: row.id,
    })
    .execute()
  await context.enqueueLook(trx, id)
  await appendAudit(trx, {
    actor,
    action: 'rescue.start',
    serviceName: row.service_name,
    deploymentId: id,
    detail: { cancels: row.id },
  })
}

/** The rescue is over: so is the cancel that asked for it. */
export async function endCancelled(context: WorkflowContext, trx: Trx, rescue: DeploymentRow): Promise<void> {
  if (rescue.cancels === null) return
  await trx
    .updateTable('deployment')
    .set({ ended_at: sql`clock_timestamp()`, forgotten: true, version: sql`version + 1` })
    .where('id', '=', rescue.cancels)
    .where('ended_at', 'is', null)
    .execute()
  await sql`select pg_notify(${changeChannel}, ${rescue.cancels})`.execute(trx)
  context.logger.info({ deployment: rescue.cancels, rescue: rescue.id }, 'the cancel is complete')
}
