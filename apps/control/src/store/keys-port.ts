import { createHash, randomInt } from 'node:crypto'
import { Secret } from '@byoi/contract'
import { type Selectable, sql } from 'kysely'
import {
  type Consumer,
  type Credentials,
  type CredentialState,
  type Keys,
  type KeyView,
  type NewKey,
  type Replays,
} from '../http/ports.ts'
import { StartError } from '../start-error.ts'
import { appendAudit, callerName } from './audit.ts'
import { answering, type Db, type Trx } from './database.ts'
import { type Database } from './schema.ts'
import { type SealingKey } from './secrets.ts'

type CredentialRow = Selectable<Database['credential']> & { application_key: string; now: Date }

/**
 * The database holds what is sealed by the master key of its first start, so every replica must have that one. Throws
 * `StartError`.
 */
export async function checkMasterKey(db: Db, masterKey: SealingKey): Promise<void> {
  const first = await db
    .selectFrom('application')
    .select(['application_key', 'application_secret'])
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  if (first === undefined) return
  try {
    masterKey.open(first.application_secret, applicationPurpose(first.application_key))
  } catch (cause) {
    throw new StartError(
      'This database was made with another master key than the one in the data directory.',
      "Copy keys/master.key from the data directory that made it, or from another replica's; see docs/operations.md.",
      cause,
    )
  }
}

const applicationPurpose = (applicationKey: string) => `application ${applicationKey} secret`
/** The consumer key is 32 random characters, so a plain hash cannot be guessed back. */
const hashOf = (consumerKey: string): string => createHash('sha256').update(consumerKey).digest('hex')

export function credentialsPort(db: Db, masterKey: SealingKey): Credentials {
  return {
    findApplication: (applicationKey) =>
      answering(async () => {
        const row = await db
          .selectFrom('application')
          .selectAll()
          .where('application_key', '=', applicationKey)
          .executeTakeFirst()
        if (row === undefined) return null
        const purpose = applicationPurpose(applicationKey)
        return { applicationKey, applicationSecret: masterKey.openText(row.application_secret, purpose) }
      }),
    findConsumer: (consumerKey) =>
      answering(async () => {
        const row = await credentialRows(db)
          .where('consumer_key_hash', '=', hashOf(consumerKey))
          .executeTakeFirst()
        return row === undefined ? null : consumerOf(row)
      }),
    findCredential: (credentialId) =>
      answering(async () => {
        const row = await credentialRows(db).where('credential.id', '=', credentialId).executeTakeFirst()
        return row === undefined ? null : consumerOf(row)
      }),
  }
}

const credentialRows = (db: Db) =>
  db
    .selectFrom('credential')
    .innerJoin('application', 'application.id', 'credential.application_id')
    .selectAll('credential')
    .select(['application_key', sql<Date>`clock_timestamp()`.as('now')])

const consumerOf = (row: CredentialRow): Consumer => ({
  credentialId: row.id,
  applicationId: row.application_id,
  applicationKey: row.application_key,
  account: row.account,
  rules: row.rules,
  state: stateOf(row),
  operator: row.operator,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
})

function stateOf({ revoked_at, expires_at, now }: CredentialRow): CredentialState {
  if (revoked_at !== null) return 'revoked'
  return expires_at !== null && expires_at <= now ? 'expired' : 'validated'
}

export function keysPort(db: Db, masterKey: SealingKey): Keys {
  return {
    create: (key, by) =>
      answering(() =>
        db.transaction().execute(async (trx) => await createKey(trx, masterKey, key, callerName(by))),
      ),
    list: () =>
      answering(async () => {
        const rows = await credentialRows(db).orderBy('credential.id').execute()
        return rows.map(viewOf)
      }),
    revoke: (applicationKey, by) =>
      answering(() =>
        db.transaction().execute(async (trx) => await revoke(trx, applicationKey, callerName(by))),
      ),
  }
}

const viewOf = (row: CredentialRow): KeyView => ({
  applicationKey: row.application_key,
  credentialId: row.id,
  account: row.account,
  operator: row.operator,
  rules: row.rules,
  description: row.description,
  state: stateOf(row),
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
})

/** Makes a key; its account is made when there is none. The secrets are given out this once. */
export async function createKey(
  trx: Trx,
  masterKey: SealingKey,
  key: NewKey,
  actor: string,
): ReturnType<Keys['create']> {
  const applicationKey = randomText(16)
  const applicationSecret = randomText(32)
  const consumerKey = randomText(32)
  await ensureAccount(trx, key.account)
  const { id } = await trx
    .insertInto('application')
    .values({
      application_key: applicationKey,
      application_secret: masterKey.seal(applicationSecret, applicationPurpose(applicationKey)),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const expires = sql<Date>`clock_timestamp() + ${key.expiresInMs} * interval '1 millisecond'`
  await trx
    .insertInto('credential')
    .values({
      application_id: id,
      consumer_key_hash: hashOf(consumerKey),
      account: key.account,
      operator: key.operator,
      rules: JSON.stringify(key.rules),
      description: key.description,
      expires_at: key.expiresInMs === null ? null : expires,
    })
    .execute()
  await appendAudit(trx, {
    actor,
    action: 'key.create',
    detail: { applicationKey, account: key.account, operator: key.operator, rules: key.rules },
  })
  return {
    applicationKey,
    applicationSecret: new Secret(applicationSecret),
    consumerKey: new Secret(consumerKey),
  }
}

export const ensureAccount = async (trx: Trx, name: string): Promise<void> => {
  await trx
    .insertInto('account')
    .values({ name })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

async function revoke(trx: Trx, applicationKey: string, actor: string): Promise<boolean> {
  const rows = await trx
    .updateTable('credential')
    .from('application')
    .set({ revoked_at: sql`coalesce(revoked_at, clock_timestamp())` })
    .whereRef('application.id', '=', 'credential.application_id')
    .where('application_key', '=', applicationKey)
    .returning('credential.id')
    .execute()
  if (rows.length === 0) return false
  await appendAudit(trx, { actor, action: 'key.revoke', detail: { applicationKey } })
  return true
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const randomText = (length: number): string =>
  Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')

export const replaysPort = (db: Db): Replays => ({
  claim: (signatureHash, expiresInMs) =>
    answering(async () => {
      const row = await db
        .insertInto('replay')
        .values({
          signature_hash: signatureHash,
          expires_at: sql<Date>`clock_timestamp() + ${expiresInMs} * interval '1 millisecond'`,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('signature_hash')
        .executeTakeFirst()
      return row !== undefined
    }),
})
