import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import { Unavailable } from '../http/ports.ts'
import { StartError } from '../start-error.ts'
import * as initial from './migrations/0001-initial.ts'
import * as realServers from './migrations/0002-real-servers.ts'
import * as provisioning from './migrations/0003-provisioning.ts'
import * as serial from './migrations/0004-serial.ts'
import * as signingKeys from './migrations/0005-signing-keys.ts'
import { type Database } from './schema.ts'

export type Db = Kysely<Database>
/** A transaction, or any other one connection. */
export type Trx = Transaction<Database>

/** How to reach PostgreSQL: a socket directory and user (embedded), or a URL (external). */
export type Connection = { host: string; user: string; database: string } | { connectionString: string }

const migrations: Record<string, Migration> = {
  '0001-initial': initial,
  '0002-real-servers': realServers,
  '0003-provisioning': provisioning,
  '0004-serial': serial,
  '0005-signing-keys': signingKeys,
}
const int8 = 20
const oldestRelease = 15

const types = new pg.TypeOverrides()
// bigint columns hold counts of bytes and epochs, all below 2^53.
types.setTypeParser(int8, Number)

export const poolOptions = (connection: Connection, max: number): pg.PoolConfig => ({
  ...connection,
  max,
  types,
  connectionTimeoutMillis: 5000,
  idleTimeoutMillis: 30_000,
  keepAlive: true,
  // A client whose control plane hangs must not hold row locks for ever.
  idle_in_transaction_session_timeout: 30_000,
  statement_timeout: 30_000,
})

/** Opens the pool. Connections are made when needed, so the database may come and go. `onLost` hears of lost idle ones. */
export function openDatabase(connection: Connection, onLost: (error: Error) => void): Db {
  const pool = new pg.Pool(poolOptions(connection, 40))
  pool.on('error', onLost)
  // A connection that is lost while it is taken from the pool, between two statements, tells nobody else.
  pool.on('connect', (client) => client.on('error', onLost))
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
}

/** Brings the tables up to this release. Several replicas may do it at once. Throws `StartError`. */
export async function migrate(db: Db): Promise<void> {
  const { rows } = await sqlVersion(db).catch((cause: unknown) => {
    throw new StartError(
      'The database cannot be reached.',
      'Check that it runs, and address, user and database of --database.',
      cause,
    )
  })
  const version = Math.floor(Number(rows[0]?.version) / 10_000)
  if (version < oldestRelease) {
    throw new StartError(`PostgreSQL ${version} is too old.`, `Use PostgreSQL ${oldestRelease} or newer.`)
  }
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    throw new StartError(
      'The tables of the database could not be brought up to date.',
      'Check that the database belongs to this release of byoi or an older one, and that its user may create tables.',
      error,
    )
  }
}

const sqlVersion = (db: Db) =>
  sql<{ version: string }>`select current_setting('server_version_num') as version`.execute(db)

/** SQLSTATE classes that say that the database cannot work now: connection, resources, operator intervention, read-only. */
const awayClasses = ['08', '53', '57', '58']
const awayCodes = ['25006', '40001', '40P01', 'XX000', '25P03', '55P03']
const socketCodes = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EACCES',
]

/** Whether the failure is the database's absence rather than a wrong statement. */
export function isAway(error: unknown): boolean {
  if (error instanceof Unavailable) return true
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  if (typeof code === 'string') {
    if (awayClasses.includes(code.slice(0, 2)) && code.length === 5) return true
    return awayCodes.includes(code) || socketCodes.includes(code)
  }
  return /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error|not queryable|query read timeout/i.test(
    error.message,
  )
}

/** Runs what answers a caller: the database's absence becomes `Unavailable`, which is 503. */
export async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isAway(error) && !(error instanceof Unavailable) ? new Unavailable(error) : error
  }
}
