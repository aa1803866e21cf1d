import { sql } from 'kysely'
import {
  type BmcEnvironment,
  type BmcServer,
  CannotWork,
  type Enrolled,
  type Settings,
} from '../bmcs/bmc-kind.ts'
import { enrolServer, resourceOf } from '../bmcs/bmcs.ts'
import { checkMediumFits } from '../deployments/boot-medium.ts'
import { type WorkflowSettings } from '../deployments/settings.ts'
import { type Db, type Trx } from './database.ts'
import { type SealingKey } from './secrets.ts'

/** What storing a server needs beside the database. */
export interface Enrolment {
  db: Db
  masterKey: SealingKey
  bmcs: BmcEnvironment
  settings: WorkflowSettings
  /** The certificate authority that boot media carry. */
  caPem: string
}

/** Whether the server can work: tries its BMC, and changes nothing. Throws `CannotWork` with the reason. */
export async function tryServer(enrolment: Enrolment, kind: string, server: BmcServer): Promise<Enrolled> {
  checkMediumFits(enrolment.caPem, server)
  return await enrolServer(enrolment.bmcs, kind, server, enrolment.settings.bmcTimeoutMs)
}

/**
 * Refuses what another server has already: a disk that two would write to, a BMC by which one would turn off the other, a port by
 * which one would boot the other's agent. Throws `CannotWork`.
 */
export async function refuseShared(
  trx: Trx,
  { serviceName, agentBoot }: Pick<BmcServer, 'serviceName' | 'agentBoot'>,
  kind: string,
  settings: Settings,
): Promise<void> {
  // Held to the end of the transaction: of two that are added at once, the second sees the first.
  await sql`lock table server in share row exclusive mode`.execute(trx)
  const resource = resourceOf(kind, settings)
  const macs = agentBoot?.macs ?? []
  const found = await trx
    .selectFrom('server')
    .select(['service_name', sql<boolean>`agent_boot -> 'macs' ?| ${macs}`.as('has_port')])
    .where('service_name', '!=', serviceName)
    .where(
      sql<boolean>`((bmc_kind = ${kind} and bmc_settings @> ${JSON.stringify(resource.settings)}::jsonb)
        or agent_boot -> 'macs' ?| ${macs})`,
    )
    .executeTakeFirst()
  if (found === undefined) return
  const what = found.has_port
    ? 'A port'
    : `The ${resource.what} ${Object.values(resource.settings).join(' ')}`
  throw new CannotWork(`${what} is that of server ${found.service_name}.`)
}
