import { type BmcServer, CannotWork, type Enrolled } from '../bmcs/bmc-kind.ts'
import { diskGroupsOf } from '../agents/disk-groups.ts'
import { withBmcLockSoon } from '../deployments/bmc-lock.ts'
import { lockServer, openDeployment } from '../deployments/server-lock.ts'
import { type ServerRow } from '../deployments/workflow-context.ts'
import { type ServerChange, type Servers } from '../http/ports.ts'
import { appendAudit } from './audit.ts'
import { type Db, type Trx } from './database.ts'
import { type Enrolment, refuseShared, tryServer } from './enrolment.ts'
import { bmcServerOf, sealPassword } from './server-rows.ts'

/** What may change while a deployment waits for an operator: a password or certificate that was renewed is why it waits. */
const changeableOnHold = ['spki']

/** Changes what is known of a server, after its BMC was tried. */
export async function setServer(
  enrolment: Enrolment,
  serviceName: string,
  change: ServerChange,
  actor: string,
): ReturnType<Servers['set']> {
  const { db, settings } = enrolment
  const found = await db
    .selectFrom('server')
    .selectAll()
    .where('service_name', '=', serviceName)
    .executeTakeFirst()
  if (found === undefined) return { kind: 'none' }
  if (found.bmc_kind === 'local') return { kind: 'refused', reason: notLocal }
  const busy = await openNow(db, found, change)
  if (busy !== null) return busy
  const ran = await withBmcLockSoon(db, found.id, settings.bmcLockWaitMs, () =>
    tryAndStore(enrolment, found.id, change, actor),
  )
  return ran?.value ?? { kind: 'refused', reason: 'The BMC is in use just now: try again in a few seconds.' }
}

const notLocal = 'A file-backed server does not change: remove it, and add it as it is to be.'

/** Under the lock of the server's BMC, which also keeps two changes apart. */
async function tryAndStore(
  enrolment: Enrolment,
  id: number,
  change: ServerChange,
  actor: string,
): ReturnType<Servers['set']> {
  const { db } = enrolment
  const row = await db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return { kind: 'none' }
  const described = changed(enrolment, row, change)
  const onlyDisks = Object.keys(change).every((name) => name === 'diskGroups')
  try {
    const enrolled = onlyDisks
      ? { settings: row.bmc_settings, identity: row.bmc_identity }
      : await tryServer(enrolment, row.bmc_kind, described)
    return await db
      .transaction()
      .execute(async (trx) => await store(enrolment, trx, row, change, described, enrolled, actor))
  } catch (error) {
    if (error instanceof CannotWork) return { kind: 'refused', reason: error.message }
    throw error
  }
}

const changed = ({ masterKey }: Enrolment, row: ServerRow, change: ServerChange): BmcServer => {
  const { agentBoot, settings, password } = change
  const before = bmcServerOf(masterKey, row)
  return {
    ...before,
    ...(agentBoot === undefined ? {} : { agentBoot }),
    ...(settings === undefined ? {} : { settings }),
    ...(password === undefined ? {} : { password }),
  }
}

async function store(
  { masterKey }: Enrolment,
  trx: Trx,
  { id, service_name: serviceName, bmc_kind: kind, account }: ServerRow,
  change: ServerChange,
  described: BmcServer,
  { settings, identity }: Enrolled,
  actor: string,
): ReturnType<Servers['set']> {
  // The table before the row: whoever locks both takes them in this order.
  await refuseShared(trx, described, kind, settings)
  const row = await lockServer(trx, null, serviceName)
  if (row?.id !== id) return { kind: 'none' }
  const busy = await openNow(trx, row, change)
  if (busy !== null) return busy
  const groups = change.diskGroups ?? row.disk_groups
  await trx
    .updateTable('server')
    .set({
      bmc_settings: JSON.stringify(settings),
      bmc_identity: JSON.stringify(identity),
      ...(change.password === undefined ? {} : { bmc_password: sealPassword(masterKey, described) }),
      agent_boot: JSON.stringify(described.agentBoot),
      disk_groups: JSON.stringify(groups.length > 0 ? groups : diskGroupsOf(row.found?.disks ?? [])),
    })
    .where('id', '=', id)
    .execute()
  const detail = { account, changed: Object.keys(change) }
  await appendAudit(trx, { actor, action: 'server.set', serviceName, detail })
  return { kind: 'set' }
}

/** A deployment that the change would come into the middle of; null: there is none. */
async function openNow(
  db: Db | Trx,
  row: ServerRow,
  change: ServerChange,
): Promise<{ kind: 'busy'; deploymentId: string } | null> {
  const open = await openDeployment(db, row.id)
  if (open === undefined) return null
  return open.state === 'hold' && isSmall(row, change) ? null : { kind: 'busy', deploymentId: open.id }
}

function isSmall(
  { bmc_settings: before }: ServerRow,
  { settings = before, agentBoot, diskGroups }: ServerChange,
): boolean {
  const names = [...new Set([...Object.keys(settings), ...Object.keys(before)])]
  const differing = names.filter((name) => settings[name] !== before[name])
  return (
    agentBoot === undefined &&
    diskGroups === undefined &&
    differing.every((name) => changeableOnHold.includes(name))
  )
}
