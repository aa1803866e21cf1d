import { sql } from 'kysely'
import { type Trx } from '../store/database.ts'
import { unseal, wiped } from './deployment-secrets.ts'
import { diskWithoutAgent } from './outcomes.ts'
import { openRescue } from './rescue.ts'
import { changeChannel, transition } from './transition.ts'
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
    .returningAll()
    .executeTakeFirst()
  if (server === undefined) throw new Fenced()
  // Read now: with the deployment's other secrets it is wiped next.
  const sshKey = unseal(context, row)?.configDrive?.sshKey ?? null
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
  await openRescue(context, trx, server, { cancels: row, sshKey }, actor)
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
