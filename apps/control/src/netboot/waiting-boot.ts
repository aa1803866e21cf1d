import { macPattern } from '@byoi/contract'
import { type Selectable, sql } from 'kysely'
import { bootWord, hashOfWord } from '../deployments/boot-word.ts'
import { unsealBootSecret } from '../deployments/deployment-secrets.ts'
import { databaseTime } from '../deployments/transition.ts'
import { type DeploymentRow, type ServerRow, type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Database } from '../store/schema.ts'

/** A server that is to start its agent now, and the agent has not joined. */
export interface WaitingBoot {
  server: ServerRow
  row: DeploymentRow
  secret: Selectable<Database['boot_secret']>
}

const mac = new RegExp(macPattern)
/** A server has no more ports than iPXE tells of. */
const maxMacs = 16

/** MAC addresses in lower case with colons; what is none, such as the empty text of a port that is not there, is left out. */
export const readMacs = (texts: string[]): string[] =>
  [...new Set(texts.map((text) => text.toLowerCase().replaceAll('-', ':')))]
    .filter((text) => mac.test(text))
    .slice(0, maxMacs)

/** The waiting boot of the server that has these ports; null when there is none, or the ports are those of several. */
export async function findBootByMacs(context: WorkflowContext, macs: string[]): Promise<WaitingBoot | null> {
  if (macs.length === 0) return null
  const servers = await context.db
    .selectFrom('server')
    .select(['id', 'epoch'])
    .where(sql<boolean>`agent_boot -> 'macs' ?| ${macs}`)
    .limit(2)
    .execute()
  const [server] = servers
  if (server === undefined || servers.length > 1) return null
  return await findBoot(context, server.id, server.epoch)
}

/** The waiting boot whose medium's URLs hold this word; null when there is none, or its time is over. */
export async function findBootByWord(context: WorkflowContext, word: string): Promise<WaitingBoot | null> {
  const found = await context.db
    .selectFrom('boot_secret')
    .select(['server_id', 'epoch'])
    .where('token_hash', '=', hashOfWord(word))
    .executeTakeFirst()
  return found === undefined ? null : await findBoot(context, found.server_id, found.epoch)
}

async function findBoot(
  context: WorkflowContext,
  serverId: number,
  epoch: number,
): Promise<WaitingBoot | null> {
  const { db } = context
  const server = await db.selectFrom('server').selectAll().where('id', '=', serverId).executeTakeFirst()
  const secret = await db
    .selectFrom('boot_secret')
    .selectAll()
    .where('server_id', '=', serverId)
    .where('epoch', '=', epoch)
    .executeTakeFirst()
  if (server === undefined || secret === undefined) return null
  const row = await db
    .selectFrom('deployment')
    .selectAll()
    .where('id', '=', secret.deployment_id)
    .executeTakeFirst()
  if (row === undefined) return null
  const boot = { server, row, secret }
  return isWaiting(boot, await databaseTime(db)) ? boot : null
}

/**
 * From the moment at which the server was seen to be off, after its boot secret was minted, until its agent joins: whoever asks
 * before that is a system that runs there still.
 */
function isWaiting({ server, row, secret }: WaitingBoot, now: Date): boolean {
  const newest = server.epoch === secret.epoch && row.epoch === secret.epoch
  const goesOn = row.state === 'open' && row.failure === null && row.cancel_at === null
  const starting = row.phase === 'power-on' || row.phase === 'await-agent'
  const unused = secret.secret !== null && secret.used_at === null && secret.expires_at > now
  return newest && goesOn && starting && row.evidence.wasOff === secret.epoch && unused
}

/** The word in the URLs of this boot's medium. */
export function wordOf(context: WorkflowContext, { row, secret }: WaitingBoot): string {
  if (secret.secret === null) throw new Error('The boot secret was wiped.')
  return bootWord(unsealBootSecret(context, row, secret.secret))
}
