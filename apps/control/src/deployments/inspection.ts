import { randomUUID } from 'node:crypto'
import { type Caller, type Deployments } from '../http/ports.ts'
import { appendAudit, callerName } from '../store/audit.ts'
import { beginning } from './beginning.ts'
import { noSecrets, seal } from './deployment-secrets.ts'
import { lockServer, openDeployment } from './server-lock.ts'
import { databaseTime } from './transition.ts'
import { type WorkflowContext } from './workflow-context.ts'

/**
 * Starts the agent on a server to tell what it is. The way is that of a deployment, with an order to look only; at its end the
 * server starts its disk again, or is off as it was before.
 */
export async function startInspection(
  context: WorkflowContext,
  serviceName: string,
  by: Caller,
): ReturnType<Deployments['inspect']> {
  return await context.db.transaction().execute(async (trx) => {
    const server = await lockServer(trx, null, serviceName)
    if (server === undefined) return { kind: 'none' } as const
    const open = await openDeployment(trx, server.id)
    if (open !== undefined) return { kind: 'conflict', id: open.id } as const
    const id = randomUUID()
    await trx
      .insertInto('deployment')
      .values({
        id,
        server_id: server.id,
        service_name: server.service_name,
        account: server.account,
        kind: 'inspect',
        ...beginning(context, await databaseTime(trx)),
        request: JSON.stringify(null),
        ...seal(context.masterKey, id, noSecrets),
      })
      .execute()
    await context.enqueueLook(trx, id)
    await appendAudit(trx, {
      actor: callerName(by),
      action: 'inspect.start',
      serviceName,
      deploymentId: id,
    })
    return { kind: 'started', id } as const
  })
}
