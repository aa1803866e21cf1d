import { createHash, timingSafeEqual } from 'node:crypto'
import { signedText } from '@byoi/contract'
import { type Selectable } from 'kysely'
import { type DeploymentRow } from '../deployments/workflow-context.ts'
import { type Trx } from '../store/database.ts'
import { type Database } from '../store/schema.ts'
import { epochOver, notTheAgent, tryLater } from './agent-refusal.ts'
import { isSignedBy } from './ed25519.ts'

/** A signed message as it came: headers and bytes. */
export interface SignedMessage {
  path: string
  lease: string
  sequence: number
  signature: string
  body: Buffer
}

export interface Heard {
  session: Selectable<Database['agent_session']>
  row: DeploymentRow
  /** The newest message once more, because its answer was lost: answered again, without a second effect. */
  repeated: boolean
}

/**
 * Checks a message: signed by the key of its lease, and newer than all before it or the newest once more. Locks session and
 * deployment for the transaction. Throws `AgentRefusal`: 401 for what is not the lease's agent, 410 when its epoch is over, 409
 * while the deployment is held.
 */
export async function hear(trx: Trx, message: SignedMessage): Promise<Heard> {
  const session = await trx
    .selectFrom('agent_session')
    .selectAll()
    .where('lease', '=', message.lease)
    .forUpdate()
    .executeTakeFirst()
  if (session === undefined) throw notTheAgent()
  const text = signedText(message.path, message.lease, message.sequence, sha256(message.body))
  if (!isSignedBy(session.public_key, text, message.signature)) throw notTheAgent()

  const digest = sha256(text)
  const repeated = message.sequence === session.sequence && same(digest, session.last_message ?? '')
  if (!repeated && message.sequence <= session.sequence) throw notTheAgent()
  if (!repeated) {
    await trx
      .updateTable('agent_session')
      .set({ sequence: message.sequence, last_message: digest })
      .where('lease', '=', message.lease)
      .execute()
  }
  const row = await trx
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', session.deployment_id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  await checkEpoch(trx, session, row)
  return { session, row, repeated }
}

/** An agent counts while its epoch is its server's newest, and its deployment goes on or is the rescue that it serves. */
async function checkEpoch(trx: Trx, session: Heard['session'], row: DeploymentRow): Promise<void> {
  const server = await trx
    .selectFrom('server')
    .select('epoch')
    .where('id', '=', session.server_id)
    .executeTakeFirst()
  if (server?.epoch !== session.epoch || row.epoch !== session.epoch) throw epochOver()
  if (row.state === 'hold') throw tryLater()
  const serves = row.kind === 'rescue' && row.state === 'done'
  if (row.state !== 'open' && !serves) throw epochOver()
}

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex')

const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
