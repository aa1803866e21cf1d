import { sql } from 'kysely'
import { checkServer } from '../bmcs/bmcs.ts'
import { withBmcLockSoon } from '../deployments/bmc-lock.ts'
import { type OwnerChange, type Servers } from '../http/ports.ts'
import { addServer } from './add-server.ts'
import { appendAudit, callerName } from './audit.ts'
import { answering, type Db } from './database.ts'
import { type Enrolment } from './enrolment.ts'
import { bmcServerOf, detailOf, serverOf } from './server-rows.ts'
import { setServer } from './set-server.ts'

/** The fleet. */
export function serversPort(enrolment: Enrolment): Servers {
  const { db, masterKey, bmcs } = enrolment
  const { bmcLockWaitMs, checkTimeoutMs } = enrolment.settings
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

    change: (account, serviceName, change, by) =>
      answering(() => changeOwned(db, account, serviceName, change, callerName(by))),

    add: (server, by) => answering(() => addServer(enrolment, server, callerName(by))),
    set: (serviceName, change, by) =>
      answering(() => setServer(enrolment, serviceName, change, callerName(by))),

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

    check: (serviceName) =>
      answering(async () => {
        const row = await find(serviceName)
        if (row === undefined) return null
        const server = bmcServerOf(masterKey, row)
        const asked = await withBmcLockSoon(db, row.id, bmcLockWaitMs, () =>
          checkServer(bmcs, row.bmc_kind, server, checkTimeoutMs),
        )
        return asked?.value ?? inUse
      }),

    remove: (serviceName, by) => answering(() => remove(db, serviceName, callerName(by))),
  }
}

const inUse = {
  identity: null,
  power: null,
  bootDevice: null,
  problems: ['A deployment talks to the BMC just now. Ask again in a few seconds.'],
}

/** False: the account has no such server. */
async function changeOwned(
  db: Db,
  account: string,
  serviceName: string,
  change: OwnerChange,
  actor: string,
): Promise<boolean> {
  const { rescueSshKey, efiBootloaderPath } = change
  return await db.transaction().execute(async (trx) => {
    const changed = await trx
      .updateTable('server')
      .set({
        service_name: serviceName,
        ...(rescueSshKey === undefined ? {} : { rescue_ssh_key: rescueSshKey }),
        ...(efiBootloaderPath === undefined ? {} : { efi_bootloader_path: efiBootloaderPath }),
      })
      .where('service_name', '=', serviceName)
      .where('account', '=', account)
      .returning('id')
      .executeTakeFirst()
    if (changed === undefined) return false
    const detail = { changed: Object.keys(change) }
    await appendAudit(trx, { actor, action: 'server.change', serviceName, detail })
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
