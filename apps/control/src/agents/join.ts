import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  agentProtocolVersion,
  type JoinAnswer,
  type JoinRequest,
  joinText,
  phaseNumber,
} from '@byoi/contract'
import { type Selectable } from 'kysely'
import { holding, restart } from '../deployments/outcomes.ts'
import { databaseTime, transition } from '../deployments/transition.ts'
import { type DeploymentRow, type WorkflowContext } from '../deployments/workflow-context.ts'
import { appendAudit } from '../store/audit.ts'
import { type Trx } from '../store/database.ts'
import { type Database } from '../store/schema.ts'
import { type DiskGroup } from '../http/ports.ts'
import { AgentRefusal, epochOver, notTheAgent } from './agent-refusal.ts'
import { diskGroupsOf } from './disk-groups.ts'
import { isSignedBy } from './ed25519.ts'

type Session = Selectable<Database['agent_session']>

/**
 * Takes an agent in: the boot secret of the server's newest epoch, unused and not expired, and proof that the agent holds its
 * key. The same key again is a repeat whose answer was lost. Another key for a used secret is an alarm: somebody else knows
 * the secret. Throws `AgentRefusal`.
 */
export async function join(context: WorkflowContext, request: JoinRequest): Promise<JoinAnswer> {
  if (request.protocol !== agentProtocolVersion) {
    throw new AgentRefusal(
      426,
      `This control plane speaks agent protocol ${agentProtocolVersion}, the agent ${request.protocol}: build the server's boot medium again with the agent of this release.`,
    )
  }
  const result = await context.db.transaction().execute(async (trx) => await joinIn(context, trx, request))
  // Thrown only here: what an alarm has changed must be committed.
  if (result instanceof AgentRefusal) throw result
  return result
}

async function joinIn(
  context: WorkflowContext,
  trx: Trx,
  request: JoinRequest,
): Promise<JoinAnswer | AgentRefusal> {
  const server = await trx
    .selectFrom('server')
    .select(['id', 'epoch', 'bmc_kind', 'disk_groups'])
    .where('service_name', '=', request.server)
    .forUpdate()
    .executeTakeFirst()
  const secret =
    server === undefined
      ? undefined
      : await trx
          .selectFrom('boot_secret')
          .selectAll()
          .where('server_id', '=', server.id)
          .where('epoch', '=', request.epoch)
          .forUpdate()
          .executeTakeFirst()
  const given = createHash('sha256').update(request.secret).digest()
  // The same work whether or not there is such a server and epoch.
  const known = Buffer.from(secret?.hash ?? '0'.repeat(64), 'hex')
  if (!timingSafeEqual(given, known) || secret === undefined || server === undefined) return notTheAgent()
  const publicKey = Buffer.from(request.publicKey, 'base64')
  const text = joinText(request.server, request.epoch, secret.hash)
  if (!isSignedBy(publicKey, text, request.proof)) return notTheAgent()

  const row = await trx
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', secret.deployment_id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const session = await trx
    .selectFrom('agent_session')
    .selectAll()
    .where('server_id', '=', server.id)
    .where('epoch', '=', request.epoch)
    .executeTakeFirst()
  const isNewest = server.epoch === request.epoch && row.epoch === request.epoch
  if (session !== undefined) {
    if (session.public_key.equals(publicKey))
      return isNewest ? answer(context, session, server.bmc_kind) : epochOver()
    return await alarm(context, trx, row, session, isNewest)
  }
  if (!isNewest || row.state !== 'open' || row.failure !== null) return epochOver()
  const now = await databaseTime(trx)
  if (secret.expires_at <= now) return epochOver()
  if (row.phase !== 'power-on' && row.phase !== 'await-agent') return epochOver()
  await storeFound(trx, server, request, now)
  return await accept(context, trx, row, request, publicKey, now, server.bmc_kind)
}

/** What the server is, by its newest agent. A server that was added without disks has those that are found. */
async function storeFound(
  trx: Trx,
  server: { id: number; disk_groups: DiskGroup[] },
  { machine, disks }: JoinRequest,
  now: Date,
): Promise<void> {
  const groups = server.disk_groups.length > 0 ? server.disk_groups : diskGroupsOf(disks)
  await trx
    .updateTable('server')
    .set({
      found: JSON.stringify({ at: now.toISOString(), machine, disks }),
      disk_groups: JSON.stringify(groups),
    })
    .where('id', '=', server.id)
    .execute()
}

async function accept(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  request: JoinRequest,
  publicKey: Buffer,
  now: Date,
  bmcKind: string,
): Promise<JoinAnswer> {
  await trx
    .updateTable('boot_secret')
    .set({ used_at: now, secret: null })
    .where('server_id', '=', row.server_id)
    .where('epoch', '=', request.epoch)
    .execute()
  const lease = randomBytes(32).toString('base64url')
  const session = { lease, epoch: request.epoch }
  await trx
    .insertInto('agent_session')
    .values({
      ...session,
      server_id: row.server_id,
      deployment_id: row.id,
      public_key: publicKey,
      disks: JSON.stringify(request.disks),
    })
    .execute()
  await transition(context, trx, row, {
    // A rescue has no disk to look at: it waits for the report that it is up.
    phase: row.kind === 'deploy' ? 'preflight-disk' : 'await-agent',
    set: { agent_seen_at: now },
    look: context.settings.localLeaseMs,
    action: 'agent.join',
    actor: 'agent',
    detail: { release: request.release, disks: request.disks.length },
  })
  return answer(context, session, bmcKind)
}

const answer = (
  { settings }: WorkflowContext,
  { lease, epoch }: Pick<Session, 'lease' | 'epoch'>,
  bmcKind: string,
): JoinAnswer => ({
  lease,
  epoch,
  leaseMs: settings.leaseMs,
  reportEveryMs: bmcKind === 'local' ? settings.localReportEveryMs : settings.reportEveryMs,
})

/**
 * A second agent with the secret of the first. Nothing tells which of the two is ours: before anything was written an operator
 * decides; afterwards the newcomer is refused, and a new epoch, with a power cycle, ends both.
 */
async function alarm(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  session: Session,
  isNewest: boolean,
): Promise<AgentRefusal> {
  context.logger.error({ deployment: row.id, epoch: session.epoch }, 'a second agent used a boot secret')
  if (isNewest && row.state === 'open' && row.failure === null && row.phase !== 'publish') {
    const change =
      phaseNumber(row.phase) < phaseNumber('write')
        ? {
            ...holding(
              'A second agent used the boot secret of this epoch: somebody else may know it. Check the boot network, then continue with a new epoch, or end the deployment.',
              'agent',
            ),
            phase: 'claim-server' as const,
          }
        : phaseNumber(row.phase) < phaseNumber('publish')
          ? restart(context, row, 'alarm')
          : null
    if (change !== null) await transition(context, trx, row, { ...change, action: 'agent.alarm' })
  } else {
    await appendAudit(trx, {
      actor: 'agent',
      action: 'agent.alarm',
      serviceName: row.service_name,
      deploymentId: row.id,
      epoch: session.epoch,
    })
  }
  return notTheAgent()
}
