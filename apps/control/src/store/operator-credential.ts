import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Db } from './database.ts'
import { createKey } from './keys-port.ts'
import { type SealingKey } from './secrets.ts'

/** What the command line reads on the control plane's own machine. */
interface OperatorFile {
  endpoint: string
  applicationKey: string
  applicationSecret: string
  consumerKey: string
  /** The certificate authority, PEM. */
  ca: string
}

/**
 * Sees to it that `operator.json` (0600) holds an operator's key and the endpoint of this start. The key is made at the first
 * start, and again when the file is lost.
 */
export async function writeOperatorFile(
  directory: string,
  db: Db,
  masterKey: SealingKey,
  facts: Pick<OperatorFile, 'endpoint' | 'ca'>,
): Promise<void> {
  const path = join(directory, 'operator.json')
  const known = await readOperatorFile(path, db)
  const file = { ...(known ?? (await createOperator(db, masterKey))), ...facts }
  const temporary = `${path}.${process.pid}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify(file, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, path)
}

/** The port of the last start; null before the first. */
export async function lastPort(directory: string): Promise<number | null> {
  const text = await readFile(join(directory, 'operator.json'), 'utf8').catch(() => null)
  if (text === null) return null
  return Number(new URL((JSON.parse(text) as OperatorFile).endpoint).port) || null
}

/** null when there is none, or it belongs to another database. */
async function readOperatorFile(path: string, db: Db): Promise<OperatorFile | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return null
  const file = JSON.parse(text) as OperatorFile
  const found = await db
    .selectFrom('application')
    .select('id')
    .where('application_key', '=', file.applicationKey)
    .executeTakeFirst()
  return found === undefined ? null : file
}

async function createOperator(db: Db, masterKey: SealingKey) {
  const rules = (['GET', 'POST', 'PUT', 'DELETE'] as const).map((method) => ({ method, path: '/*' }))
  const key = { account: 'operator', operator: true, rules, expiresInMs: null }
  const created = await db.transaction().execute(async (trx) => {
    return await createKey(trx, masterKey, { ...key, description: 'made by byoi up' }, 'byoi up')
  })
  return {
    applicationKey: created.applicationKey,
    applicationSecret: created.applicationSecret.reveal(),
    consumerKey: created.consumerKey.reveal(),
  }
}
