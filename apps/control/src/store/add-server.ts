import { type BmcServer, CannotWork, type Enrolled } from '../bmcs/bmc-kind.ts'
import { type NewServer, type Servers } from '../http/ports.ts'
import { appendAudit } from './audit.ts'
import { type Enrolment, refuseShared, tryServer } from './enrolment.ts'
import { ensureAccount } from './keys-port.ts'
import { sealPassword } from './server-rows.ts'

/** Tries the server's BMC and stores the server when everything about it can work. */
export async function addServer(
  enrolment: Enrolment,
  server: NewServer,
  actor: string,
): ReturnType<Servers['add']> {
  const { serviceName, boot, diskGroups, agentBoot, bmc } = server
  const known = await enrolment.db
    .selectFrom('server')
    .select('id')
    .where('service_name', '=', serviceName)
    .executeTakeFirst()
  if (known !== undefined) return { kind: 'exists' }
  const described = {
    serviceName,
    boot,
    diskGroups,
    agentBoot,
    settings: bmc.settings,
    password: bmc.password,
  }
  try {
    const enrolled = await tryServer(enrolment, bmc.kind, described)
    return await insert(enrolment, server, described, enrolled, actor)
  } catch (error) {
    if (error instanceof CannotWork) return { kind: 'refused', reason: error.message }
    throw error
  }
}

async function insert(
  { db, masterKey }: Enrolment,
  { account, bmc }: NewServer,
  described: BmcServer,
  { settings, identity }: Enrolled,
  actor: string,
): ReturnType<Servers['add']> {
  const { serviceName, boot, diskGroups, agentBoot } = described
  return await db.transaction().execute(async (trx) => {
    await ensureAccount(trx, account)
    await refuseShared(trx, described, bmc.kind, settings)
    const row = await trx
      .insertInto('server')
      .values({
        service_name: serviceName,
        account,
        boot,
        bmc_kind: bmc.kind,
        bmc_settings: JSON.stringify(settings),
        bmc_password: sealPassword(masterKey, described),
        bmc_identity: JSON.stringify(identity),
        disk_groups: JSON.stringify(diskGroups),
        agent_boot: JSON.stringify(agentBoot),
        power_state: null,
      })
      .onConflict((conflict) => conflict.column('service_name').doNothing())
      .returning('id')
      .executeTakeFirst()
    if (row === undefined) return { kind: 'exists' } as const
    await appendAudit(trx, { actor, action: 'server.add', serviceName, detail: { account, bmc: bmc.kind } })
    return { kind: 'added' } as const
  })
}
