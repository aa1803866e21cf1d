import { type BootMedium } from '@byoi/contract'
import { sql } from 'kysely'
import { bootMediumOf } from '../deployments/boot-medium.ts'
import { transition } from '../deployments/transition.ts'
import { Fenced, type WorkflowContext } from '../deployments/workflow-context.ts'
import { type WaitingBoot } from './waiting-boot.ts'

/**
 * How often the medium is given out. `once`: to the first who asks, a single time. `to-one-reader`: a BMC or a firmware reads a CD in
 * many pieces, so the first who asks may go on asking.
 */
export type Giving = 'once' | 'to-one-reader'

/**
 * The medium of a waiting boot for whoever asks at this address; null when it was given out before. That is an alarm: two have asked
 * for what only one server should know of, and nothing tells which of them it was.
 */
export async function takeMedium(
  context: WorkflowContext,
  boot: WaitingBoot,
  address: string,
  giving: Giving,
): Promise<BootMedium | null> {
  const { server, row, secret } = boot
  const claimed = await claim(context, boot, address)
  const taken = claimed ?? (await takenBy(context, boot))
  const reads = giving === 'to-one-reader' && taken.address === address
  if (claimed === null && !reads) {
    await alarm(context, boot, address, taken.address)
    return null
  }
  if (secret.secret === null) return null
  // The time at which it was given out first: the bytes are the same for every piece that is read later.
  return bootMediumOf(context, row, server, secret.secret, taken.at)
}

interface Taken {
  address: string
  at: Date
}

/** Of several who ask at once, one is the first; null for the others. */
async function claim(
  { db }: WorkflowContext,
  { secret }: WaitingBoot,
  address: string,
): Promise<Taken | null> {
  if (secret.fetched_at !== null) return null
  const claimed = await db
    .updateTable('boot_secret')
    .set({ fetched_at: sql`clock_timestamp()`, fetched_by: address })
    .where('server_id', '=', secret.server_id)
    .where('epoch', '=', secret.epoch)
    .where('fetched_at', 'is', null)
    .returning('fetched_at')
    .executeTakeFirst()
  return claimed === undefined ? null : { address, at: claimed.fetched_at ?? new Date(0) }
}

async function takenBy({ db }: WorkflowContext, { secret }: WaitingBoot): Promise<Taken> {
  const { fetched_by, fetched_at } = await db
    .selectFrom('boot_secret')
    .select(['fetched_by', 'fetched_at'])
    .where('server_id', '=', secret.server_id)
    .where('epoch', '=', secret.epoch)
    .executeTakeFirstOrThrow()
  return { address: fetched_by ?? '', at: fetched_at ?? new Date(0) }
}

/** Shown to the server's owner, so it names no address. */
const note =
  'Alarm: the boot medium of this start was asked for again after it had been given out. Somebody may be reading along on the boot network.'

/** Logged each time, stored once per epoch: whoever asks without end fills no table. */
async function alarm(
  context: WorkflowContext,
  { server, row }: WaitingBoot,
  address: string,
  firstAddress: string,
): Promise<void> {
  const facts = { server: server.service_name, epoch: row.epoch, address, firstAddress }
  context.logger.error({ deployment: row.id, ...facts }, 'a boot medium was asked for again')
  try {
    await context.db.transaction().execute(async (trx) => {
      const now = await trx
        .selectFrom('deployment')
        .selectAll()
        .where('id', '=', row.id)
        .forUpdate()
        .executeTakeFirstOrThrow()
      if (now.evidence.mediumAlarm === row.epoch || now.epoch !== row.epoch || now.state !== 'open') return
      await transition(context, trx, now, {
        evidence: { mediumAlarm: row.epoch },
        set: { notes: JSON.stringify([...now.notes, note]) },
        look: context.settings.localLeaseMs,
        action: 'boot-medium.alarm',
        actor: `address ${address}`,
        detail: { firstAddress },
      })
    })
  } catch (error) {
    // The deployment has gone on meanwhile; the log has the line.
    if (!(error instanceof Fenced)) throw error
  }
}
