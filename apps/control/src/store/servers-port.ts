import { type Selectable, sql } from 'kysely'
import { type NewServer, type Server, type ServerDetail, type Servers } from '../http/ports.ts'
import { appendAudit, callerName } from './audit.ts'
import { answering, type Db } from './database.ts'
import { ensureAccount } from './keys-port.ts'
import { type Database } from './schema.ts'
import { type SealingKey } from './secrets.ts'

type ServerRow = Selectable<Database['server']>

export const bmcPasswordPurpose = (serviceName: string): string => `server ${serviceName} bmc password`

/**
 * `prepare` makes what the server's kind needs (a file-backed disk) and tells in one sentence why it cannot; null: it is ready.
 */
export function serversPort(
  db: Db,
  masterKey: SealingKey,
  prepare: (server: NewServer) => Promise<string | null>,
): Servers {
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
        const reason = await prepare(server)
        if (reason !== null) return { kind: 'refused', reason }
        return (await insert(db, masterKey, server, callerName(by))) ? { kind: 'added' } : { kind: 'exists' }
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

    remove: (serviceName, by) => answering(() => remove(db, serviceName, callerName(by))),
  }
}

async function insert(db: Db, masterKey: SealingKey, server: NewServer, actor: string): Promise<boolean> {
  const { serviceName, account, boot, bmc, diskGroups } = server
  return await db.transaction().execute(async (trx) => {
    await ensureAccount(trx, account)
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
        power_state: null,
      })
      .onConflict((conflict) => conflict.column('service_name').doNothing())
      .returning('id')
      .executeTakeFirst()
    if (row === undefined) return false
    await appendAudit(trx, { actor, action: 'server.add', serviceName, detail: { account, bmc: bmc.kind } })
    return true
  })
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
})
