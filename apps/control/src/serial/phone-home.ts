import { randomBytes } from 'node:crypto'
import { type ByoiRequest, isSshPublicKey } from '@byoi/contract'
import { sql } from 'kysely'
import { hashOfWord } from '../deployments/boot-word.ts'
import { type DeploymentSecrets } from '../deployments/deployment-secrets.ts'
import { type ServerRow, type WorkflowContext } from '../deployments/workflow-context.ts'
import { type ProvisioningRequest, type ProvisioningRoute } from '../netboot/route.ts'
import { storeBooted } from './boot-evidence.ts'

const wordBytes = 32
/** cloud-init sends four public keys and three names. */
const maxBodyBytes = 16 * 1024
const maxKeys = 8

/** The word of a new deployment whose system is to phone home; null: it is not asked to. A file-backed server's disk never runs. */
export function mintPhoneHomeWord(
  { settings, provisioning }: WorkflowContext,
  server: ServerRow,
  request: ByoiRequest,
): string | null {
  const asked = settings.phoneHome && provisioning !== null
  if (!asked || request.configDrive === null || server.bmc_kind === 'local') return null
  return randomBytes(wordBytes).toString('hex')
}

/** What the config drive tells cloud-init's `phone_home`. */
export const phoneHomeUrl = (
  { provisioning }: WorkflowContext,
  { phoneHomeWord }: DeploymentSecrets,
): string | null =>
  phoneHomeWord && provisioning !== null ? `${provisioning.url}/phone-home/${phoneHomeWord}` : null

/**
 * Where a deployed system says that it has booted (cloud-init, `cc_phone_home`: a POST of an HTML form). It is heard once; a repeat,
 * because the answer was lost, gets the same answer. Of the form only the SSH host keys are taken, as notes for the owner.
 */
export const phoneHomeRoute = (context: WorkflowContext): ProvisioningRoute => ({
  name: '/phone-home',
  methods: ['POST'],
  path: /^\/phone-home\/([0-9a-f]{64})$/,
  answer: async ({ parts: [word = ''], raw }) => {
    const hash = hashOfWord(word)
    // A form is read only from who knows a word.
    const form = (await isKnown(context, hash)) ? await readForm(raw) : null
    if (form === null || !(await hear(context, hash, hostKeysOf(form)))) return null
    return { status: 200, headers: { 'Content-Length': 0 }, body: null }
  },
})

async function isKnown({ db }: WorkflowContext, hash: string): Promise<boolean> {
  const found = await db
    .selectFrom('deployment')
    .select('id')
    .where('phone_home_hash', '=', hash)
    .executeTakeFirst()
  return found !== undefined
}

/** False when no deployment has this word, or its server cannot have booted its disk. */
async function hear({ db }: WorkflowContext, hash: string, hostKeys: string[]): Promise<boolean> {
  return await db.transaction().execute(async (trx) => {
    const row = await trx
      .selectFrom('deployment')
      .select(['id', 'evidence'])
      .where('phone_home_hash', '=', hash)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return false
    if (row.evidence.phonedHome === true) return true
    const notes = hostKeys.map((key) => `SSH host key of the deployed system: ${key}`)
    if (!(await storeBooted(trx, row.id, 'phone-home', notes))) return false
    await trx
      .updateTable('deployment')
      .set({ evidence: sql<string>`evidence || '{"phonedHome": true}'` })
      .where('id', '=', row.id)
      .execute()
    return true
  })
}

/** null when it is too long or no text. */
async function readForm(body: ProvisioningRequest['raw']): Promise<URLSearchParams | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBodyBytes) return null
    chunks.push(chunk)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

/** Type and key of each line that is a public key; the comment after them is anybody's text. */
const hostKeysOf = (form: URLSearchParams): string[] =>
  [...form]
    .filter(([name]) => name.startsWith('pub_key_'))
    .map(([, value]) => value.trim())
    .filter(isSshPublicKey)
    .map((line) => line.split(' ').slice(0, 2).join(' '))
    .slice(0, maxKeys)
