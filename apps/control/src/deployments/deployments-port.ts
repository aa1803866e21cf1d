import { randomUUID } from 'node:crypto'
import { type ByoiRequest, type HoldDecision } from '@byoi/contract'
import { type Caller, type DeploymentEvent, type Deployments } from '../http/ports.ts'
import { appendAudit, callerName } from '../store/audit.ts'
import { answering, type Trx } from '../store/database.ts'
import { cancelNow } from './cancel.ts'
import { startInspection } from './inspection.ts'
import { currentRescue, startRescue } from './rescue.ts'
import { lockServer, openDeployment } from './server-lock.ts'
import { type Changes } from './changes.ts'
import { beginning } from './beginning.ts'
import { findSigningKeys } from '../store/signing-keys-port.ts'
import { awaitsBoot } from '../serial/boot-evidence.ts'
import { mintPhoneHomeWord } from '../serial/phone-home.ts'
import { hashOfWord } from './boot-word.ts'
import { seal, secretsOf } from './deployment-secrets.ts'
import { databaseTime, transition } from './transition.ts'
import { deploymentView } from './view.ts'
import { type DeploymentRow, Fenced, type ServerRow, type WorkflowContext } from './workflow-context.ts'

/** What the API asks of deployments. Each change is durable, with its audit row and its job, before it is answered. */
export function deploymentsPort(context: WorkflowContext, changes: Changes): Deployments {
  const { db } = context
  const read = async (id: string): Promise<DeploymentRow | undefined> =>
    isUuid(id)
      ? await db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirst()
      : undefined

  return {
    start: (account, serviceName, request, by) =>
      answering(() => start(context, account, serviceName, request, by)),

    current: (account, serviceName) =>
      answering(async () => {
        const row = await db
          .selectFrom('deployment')
          .innerJoin('server', 'server.id', 'deployment.server_id')
          .selectAll('deployment')
          .where('server.service_name', '=', serviceName)
          .$if(account !== null, (query) => query.where('deployment.account', '=', account ?? ''))
          .where('deployment.kind', '=', 'deploy')
          .orderBy('deployment.created_at', 'desc')
          .limit(1)
          .executeTakeFirst()
        // What came before a forgotten one no longer says what is on the disk.
        return row === undefined || row.forgotten ? null : deploymentView(row)
      }),

    byId: (account, id) =>
      answering(async () => {
        const row = await read(id)
        return row === undefined || (account !== null && row.account !== account) ? null : deploymentView(row)
      }),

    forget: (account, serviceName, by) => answering(() => forget(context, account, serviceName, by)),

    rescue: (account, serviceName, by) => answering(() => startRescue(context, account, serviceName, by)),
    currentRescue: (account, serviceName) => answering(() => currentRescue(db, account, serviceName)),

    inspect: (serviceName, by) => answering(() => startInspection(context, serviceName, by)),
    watch: (id, afterEventId, signal) => watch(context, read, changes, id, afterEventId, signal),

    resolveHold: (id, decision, by) =>
      answering(async () => {
        const row = await read(id)
        if (row === undefined) return { kind: 'none' }
        if (row.state !== 'hold') return { kind: 'not-held' }
        try {
          await resolve(context, row, decision, by)
          return { kind: 'resolved' }
        } catch (error) {
          if (error instanceof Fenced) return { kind: 'not-held' }
          throw error
        }
      }),
  }
}

async function start(
  context: WorkflowContext,
  account: string,
  serviceName: string,
  request: ByoiRequest,
  by: Caller,
): ReturnType<Deployments['start']> {
  return await context.db.transaction().execute(async (trx) => {
    const server = await lockServer(trx, account, serviceName)
    if (server === undefined) return { kind: 'none' } as const
    const open = await openDeployment(trx, server.id)
    if (open !== undefined) return { kind: 'conflict', id: open.id } as const
    const found = await findSigningKeys(trx, by.account, request.keyNames)
    if ('missing' in found) return { kind: 'unknown-key', name: found.missing } as const
    const id = await insert(context, trx, server, request, found.keys)
    await context.enqueueLook(trx, id)
    await appendAudit(trx, {
      actor: callerName(by),
      action: 'deployment.start',
      serviceName,
      deploymentId: id,
      detail: { url: request.shownUrl, type: request.type, ...shownVerification(request) },
    })
    return { kind: 'started', id } as const
  })
}

async function insert(
  context: WorkflowContext,
  trx: Trx,
  server: ServerRow,
  request: ByoiRequest,
  signingKeys: string[],
): Promise<string> {
  const id = randomUUID()
  const now = await databaseTime(trx)
  const phoneHomeWord = mintPhoneHomeWord(context, server, request)
  await trx
    .insertInto('deployment')
    .values({
      id,
      server_id: server.id,
      service_name: server.service_name,
      account: server.account,
      kind: 'deploy',
      ...beginning(context, now),
      request: JSON.stringify({
        url: request.shownUrl,
        type: request.type,
        checkSum: request.checkSum,
        description: request.description,
        diskGroupId: request.diskGroupId,
        ...shownVerification(request),
        growLastPartition: request.growLastPartition,
        disks: request.disks,
      }),
      ...seal(context.masterKey, id, { ...secretsOf(request, signingKeys), phoneHomeWord }),
      phone_home_hash: phoneHomeWord === null ? null : hashOfWord(phoneHomeWord),
    })
    .execute()
  return id
}

/** How the image is to be verified beside by a checksum, without anything secret. */
const shownVerification = ({ sums, signature, keyNames }: ByoiRequest) => ({
  sums: sums && { url: sums.shownUrl, name: sums.name },
  signature: signature && { url: signature.shownUrl, of: signature.of },
  keyNames,
})

async function forget(
  context: WorkflowContext,
  account: string,
  serviceName: string,
  by: Caller,
): ReturnType<Deployments['forget']> {
  return await context.db.transaction().execute(async (trx) => {
    const server = await lockServer(trx, account, serviceName)
    if (server === undefined) return { kind: 'none' } as const
    const row = await trx
      .selectFrom('deployment')
      .selectAll()
      .where('server_id', '=', server.id)
      .where('kind', '=', 'deploy')
      .orderBy('created_at', 'desc')
      .limit(1)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined || row.forgotten) return { kind: 'none' } as const
    if (row.state === 'cancelled' || row.cancel_at !== null) return { kind: 'accepted' } as const
    const open = await openDeployment(trx, server.id)
    if (open !== undefined && open.id !== row.id) return { kind: 'conflict', id: open.id } as const
    if (row.state === 'open' && row.phase === 'publish') await cancelAfterPublish(context, trx, row, by)
    else await cancelNow(context, trx, row, callerName(by))
    return { kind: 'accepted' } as const
  })
}

/** The agent has its permit and may be writing the boot areas: it is given a moment to end in a known state. */
async function cancelAfterPublish(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  by: Caller,
): Promise<void> {
  const { cancelWaitMs } = context.settings
  const now = await databaseTime(trx)
  await transition(context, trx, row, {
    set: { cancel_at: new Date(now.getTime() + cancelWaitMs) },
    look: cancelWaitMs,
    action: 'deployment.cancel-after-publish',
    actor: callerName(by),
  })
}

async function* watch(
  context: WorkflowContext,
  read: (id: string) => Promise<DeploymentRow | undefined>,
  changes: Changes,
  id: string,
  afterEventId: number,
  signal: AbortSignal,
): AsyncIterable<DeploymentEvent> {
  let seen = afterEventId
  for (;;) {
    // Asked for before the row is read, so that a change in between is not missed.
    const waiting = new AbortController()
    const change = changes.next(id, AbortSignal.any([signal, waiting.signal]))
    const row = await answering(() => read(id))
    if (row === undefined || signal.aborted) return waiting.abort()
    if (row.version > seen) {
      seen = row.version
      yield { id: row.version, view: deploymentView(row) }
    }
    const over = row.ended_at !== null && !(await answering(() => awaitsBoot(context, row)))
    if (over) return waiting.abort()
    await change
  }
}

async function resolve(
  context: WorkflowContext,
  row: DeploymentRow,
  decision: HoldDecision,
  by: Caller,
): Promise<void> {
  const failure = {
    code: 'CANCELLED',
    message: 'The deployment was cancelled.',
    cause: `An operator ended it while it was held: ${row.hold ?? ''}`,
    remedy: 'Put the server right, then start the deployment again.',
  }
  await transition(context, context.db, row, {
    state: 'open',
    set: {
      hold: null,
      tries: 0,
      ...(decision === 'fail' ? { failure: JSON.stringify(failure) } : {}),
    },
    look: 'now',
    action: `deployment.resolve-${decision}`,
    actor: callerName(by),
  })
}

const isUuid = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)
