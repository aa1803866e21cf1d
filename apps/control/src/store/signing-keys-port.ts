import { type SigningKeyAnswer } from '@byoi/contract'
import { type Selectable } from 'kysely'
import { type SigningKeys } from '../http/ports.ts'
import { appendAudit, callerName } from './audit.ts'
import { answering, type Db, type Trx } from './database.ts'
import { ensureAccount } from './keys-port.ts'
import { type Database } from './schema.ts'

/** So that no account fills the database. */
const mostKeys = 100

export function signingKeysPort(db: Db): SigningKeys {
  return {
    list: (account) =>
      answering(async () => {
        const rows = await db
          .selectFrom('signing_key')
          .selectAll()
          .where('account', '=', account)
          .orderBy('name')
          .execute()
        return rows.map(viewOf)
      }),

    add: (account, { name, format, ids, key }, by) =>
      answering(() =>
        db.transaction().execute(async (trx) => {
          await ensureAccount(trx, account)
          // Keys of one account are added one after the other, so that none slips in over the limit.
          await trx.selectFrom('account').select('name').where('name', '=', account).forUpdate().execute()
          const names = await trx
            .selectFrom('signing_key')
            .select('name')
            .where('account', '=', account)
            .execute()
          if (names.some((each) => each.name === name)) return { kind: 'exists' } as const
          if (names.length >= mostKeys) return { kind: 'full', most: mostKeys } as const
          const row = await trx
            .insertInto('signing_key')
            .values({ account, name, format, ids: JSON.stringify(ids), key })
            .returningAll()
            .executeTakeFirstOrThrow()
          await appendAudit(trx, {
            actor: callerName(by),
            action: 'signing-key.add',
            detail: { account, name, format, ids },
          })
          return { kind: 'added', key: viewOf(row) } as const
        }),
      ),

    remove: (account, name, by) =>
      answering(() =>
        db.transaction().execute(async (trx) => {
          const { numDeletedRows } = await trx
            .deleteFrom('signing_key')
            .where('account', '=', account)
            .where('name', '=', name)
            .executeTakeFirst()
          if (numDeletedRows === 0n) return false
          await appendAudit(trx, {
            actor: callerName(by),
            action: 'signing-key.remove',
            detail: { account, name },
          })
          return true
        }),
      ),
  }
}

/** The texts of keys by their names, or the first name that the account has no key of. */
export async function findSigningKeys(
  trx: Trx,
  account: string,
  names: string[],
): Promise<{ keys: string[] } | { missing: string }> {
  if (names.length === 0) return { keys: [] }
  const rows = await trx
    .selectFrom('signing_key')
    .select(['name', 'key'])
    .where('account', '=', account)
    .where('name', 'in', names)
    .execute()
  const missing = names.find((name) => !rows.some((row) => row.name === name))
  return missing === undefined ? { keys: rows.map((row) => row.key) } : { missing }
}

const viewOf = ({
  name,
  format,
  ids,
  created_at,
}: Selectable<Database['signing_key']>): SigningKeyAnswer => ({
  name,
  format,
  ids,
  createdAt: created_at.toISOString(),
})
