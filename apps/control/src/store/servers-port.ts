import { type ServerCheck } from '@byoi/contract'
import { type Selectable, sql } from 'kysely'
import { type NewServer, type Server, type ServerDetail, type Servers } from '../http/ports.ts'
import { appendAudit, callerName } from './audit.ts'
import { answering, type Db, type Trx } from './database.ts'
import { ensureAccount } from './keys-port.ts'
import { type Database } from './schema.ts'
import { type SealingKey } from './secrets.ts'

type ServerRow = Selectable<Database['server']>

export const bmcPasswordPurpose = (serviceName: string): string => `server ${serviceName} bmc password`

/** What depends on the kind of a server's BMC. */
export interface ServerKinds {
  /** Makes what the server needs (a file-backed disk). Returns the settings to store, or in one sentence why it cannot. */
  prepare(server: NewServer): Promise<NewServer['bmc']['settings'] | string>
  check(server: ServerRow): Promise<ServerCheck>
}

export function serversPort(db: Db, masterKey: SealingKey, kinds: ServerKinds): Servers {
  const find = async (serviceName: string) =>
    await db.selectFrom('server').selectAll().where('service_name', '=', serviceName).executeTakeFirst()

  return {
    list: (account) =>
      answering(async () => {
        const rows = await db
          .selectFrom('server')
          .select('service_name')
          .where('account', '=', account)
          .orderBy(sql`service_name collate "C"`)
          .execute()
        return rows.map((row) => row.service_name)
      }),

    find: (account, serviceName) =>
      answering(async () => {
        const row = await db
          .selectFrom('server')
          .selectAll()
          .where('service_name', '=', serviceName)
          .where('account', '=', account)
          .executeTakeFirst()
        return row === undefined ? null : serverOf(row)
      }),

    add: (server, by) =>
      answering(async () => {
        if ((await find(server.serviceName)) !== undefined) return { kind: 'exists' }
        const settings = await kinds.prepare(server)
        if (typeof settings === 'string') return { kind: 'refused', reason: settings }
        const prepared = { ...server, bmc: { ...server.bmc, settings } }
        return await insert(db, masterKey, prepared, callerName(by))
      }),

    listAll: () =>
      answering(async () => {
        const rows = await db
          .selectFrom('server')
          .selectAll()
          .orderBy(sql`service_name collate "C"`)
          .execute()
        return rows.map(detailOf)
      }),

    show: (serviceName) =>
      answering(async () => {
        const row = await find(serviceName)
        return row === undefined ? null : detailOf(row)
      }),

    check: async (serviceName) => {
      const row = await answering(() => find(serviceName))
      return row === undefined ? null : await kinds.check(row)
    },

    remove: (serviceName, by) => answering(() => remove(db, serviceName, callerName(by))),
  }
}

async function insert(
  db: Db,
  masterKey: SealingKey,
  server: NewServer,
  actor: string,
): ReturnType<Servers['add']> {
  const { serviceName, account, boot, bmc, diskGroups, agentBoot } = server
  return await db.transaction().execute(async (trx) => {
    await ensureAccount(trx, account)
    const other = await ownerOfDisk(trx, bmc.settings)
    if (other !== undefined) {
      return {
        kind: 'refused',
        reason: `The disk ${bmc.settings['disk']} is that of server ${other}.`,
      } as const
    }
    const row = await trx
      .insertInto('server')
      .values({
        service_name: serviceName,
        account,
        boot,
        bmc_kind: bmc.kind,
        bmc_settings: JSON.stringify(bmc.settings),
        bmc_password:
          bmc.password === null
            ? null
            : masterKey.seal(bmc.password.reveal(), bmcPasswordPurpose(serviceName)),
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

/** The server that has this disk already: two on one disk would each write what the other has verified. */
async function ownerOfDisk(trx: Trx, { disk }: NewServer['bmc']['settings']): Promise<string | undefined> {
  if (disk === undefined) return undefined
  // Held to the end of the transaction: of two that add the same disk at once, the second sees the first.
  await sql`lock table server in share row exclusive mode`.execute(trx)
  const found = await trx
    .selectFrom('server')
    .select('service_name')
    .where(sql<boolean>`bmc_settings ->> 'disk' = ${String(disk)}`)
    .executeTakeFirst()
  return found?.service_name
}

/** The history of its deployments stays. */
async function remove(db: Db, serviceName: string, actor: string): ReturnType<Servers['remove']> {
  return await db.transaction().execute(async (trx) => {
    const server = await trx
      .selectFrom('server')
      .select('id')
      .where('service_name', '=', serviceName)
      .forUpdate()
      .executeTakeFirst()
    if (server === undefined) return { kind: 'none' } as const
    const open = await trx
      .selectFrom('deployment')
      .select('id')
      .where('server_id', '=', server.id)
      .where('state', 'in', ['open', 'hold'])
      .executeTakeFirst()
    if (open !== undefined) return { kind: 'busy', deploymentId: open.id } as const
    await trx.deleteFrom('server').where('id', '=', server.id).execute()
    await appendAudit(trx, { actor, action: 'server.remove', serviceName })
    return { kind: 'removed' } as const
  })
}

const serverOf = (row: ServerRow): Server => ({
  serverId: row.id,
  serviceName: row.service_name,
  account: row.account,
  boot: row.boot,
  powerState: row.power_state === null ? null : `power${row.power_state}`,
  diskGroups: row.disk_groups,
  ownImage: row.own_image,
  createdAt: row.created_at.toISOString(),
})

const detailOf = (row: ServerRow): ServerDetail => ({
  ...serverOf(row),
  bmc: { kind: row.bmc_kind, settings: row.bmc_settings },
  agentBoot: row.agent_boot,
  found: row.found,
})
