import { randomUUID } from 'node:crypto'
import { type DeploymentView } from '@byoi/contract'
import { type Caller, type Deployments } from '../http/ports.ts'
import { appendAudit, callerName } from '../store/audit.ts'
import { type Db, type Trx } from '../store/database.ts'
import { beginning } from './beginning.ts'
import { noSecrets, seal } from './deployment-secrets.ts'
import { lockServer, openDeployment } from './server-lock.ts'
import { databaseTime } from './transition.ts'
import { deploymentView } from './view.ts'
import { type DeploymentRow, type ServerRow, type WorkflowContext } from './workflow-context.ts'

/** Puts a server into rescue on which nothing goes on. What was deployed on it before is kept, and still shown. */
export async function startRescue(
  context: WorkflowContext,
  account: string,
  serviceName: string,
  by: Caller,
): ReturnType<Deployments['rescue']> {
  return await context.db.transaction().execute(async (trx) => {
    const server = await lockServer(trx, account, serviceName)
    if (server === undefined) return { kind: 'none' } as const
    const open = await openDeployment(trx, server.id)
    if (open !== undefined) return { kind: 'conflict', id: open.id } as const
    const none = { cancels: null, sshKey: null }
    return { kind: 'started', id: await openRescue(context, trx, server, none, callerName(by)) } as const
  })
}

/**
 * Opens the rescue of a server. Its owner logs in with the server's `rescueSshKey`, else with `sshKey`, the key of the deployment that
 * it `cancels`. Returns the rescue's id.
 */
export async function openRescue(
  context: WorkflowContext,
  trx: Trx,
  server: ServerRow,
  { cancels, sshKey }: { cancels: DeploymentRow | null; sshKey: string | null },
  actor: string,
): Promise<string> {
  const id = randomUUID()
  const secrets = { ...noSecrets, rescueSshKey: server.rescue_ssh_key ?? sshKey }
  await trx
    .insertInto('deployment')
    .values({
      id,
      server_id: server.id,
      service_name: server.service_name,
      account: server.account,
      kind: 'rescue',
      ...beginning(context, await databaseTime(trx)),
      request: JSON.stringify(null),
      ...seal(context.masterKey, id, secrets),
      disk: cancels?.disk ?? 'untouched',
      cancels: cancels?.id ?? null,
    })
    .execute()
  await context.enqueueLook(trx, id)
  await appendAudit(trx, {
    actor,
    action: 'rescue.start',
    serviceName: server.service_name,
    deploymentId: id,
    detail: { cancels: cancels?.id ?? null },
  })
  return id
}

/** The rescue that the server is in or on its way to; null when something came after it, or there was none. */
export async function currentRescue(
  db: Db,
  account: string,
  serviceName: string,
): Promise<DeploymentView | null> {
  const newest = await db
    .selectFrom('deployment')
    .innerJoin('server', 'server.id', 'deployment.server_id')
    .selectAll('deployment')
    .where('server.service_name', '=', serviceName)
    .where('deployment.account', '=', account)
    .orderBy('deployment.created_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  return newest?.kind === 'rescue' ? deploymentView(newest) : null
}
