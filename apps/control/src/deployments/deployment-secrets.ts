import { type ByoiRequest } from '@byoi/contract'
import { SealingKey } from '../store/secrets.ts'
import { type DeploymentRow, type WorkflowContext } from './workflow-context.ts'

/** What a deployment keeps sealed until it ends. */
export interface DeploymentSecrets {
  url: string
  /** Absent in rows of older releases, as what follows. */
  sumsUrl?: string | null
  signatureUrl?: string | null
  /** Public, but kept with what they are for: a key that is removed or replaced later changes no deployment that has begun. */
  signingKeys?: string[]
  httpHeader: { key: string; value: string }[]
  configDrive: {
    hostname: string | null
    sshKey: string | null
    userDataBase64: string | null
    userMetadatas: { key: string; value: string }[]
  } | null
  /** Key for the rescue system of this deployment's own rescue. */
  rescueSshKey: string | null
  /** Last part of the URL at which the deployed system phones home; null: it is not asked to. */
  phoneHomeWord: string | null
}

export const noSecrets: DeploymentSecrets = {
  url: '',
  httpHeader: [],
  configDrive: null,
  rescueSshKey: null,
  phoneHomeWord: null,
}

export const secretsOf = (request: ByoiRequest, signingKeys: string[]): DeploymentSecrets => ({
  url: request.url.reveal(),
  sumsUrl: request.sums?.url.reveal() ?? null,
  signatureUrl: request.signature?.url.reveal() ?? null,
  signingKeys,
  httpHeader: request.httpHeader.map(({ key, value }) => ({ key, value: value.reveal() })),
  configDrive:
    request.configDrive === null
      ? null
      : {
          hostname: request.configDrive.hostname,
          sshKey: request.configDrive.sshKey,
          userDataBase64:
            request.configDrive.userData === null
              ? null
              : Buffer.from(request.configDrive.userData.reveal()).toString('base64'),
          userMetadatas: request.configDrive.userMetadatas.map(({ key, value }) => ({
            key,
            value: value.reveal(),
          })),
        },
  rescueSshKey: null,
  phoneHomeWord: null,
})

const keyPurpose = (id: string) => `deployment ${id} key`
const textPurpose = (id: string) => `deployment ${id} secrets`
const bootPurpose = (id: string, epoch: number) => `deployment ${id} boot secret ${epoch}`

/** Sealed by a key of its own: wiping that key wipes the secrets, in every copy of the database made afterwards. */
export function seal(masterKey: SealingKey, id: string, secrets: DeploymentSecrets) {
  const key = SealingKey.generate()
  return {
    secrets: key.seal(JSON.stringify(secrets), textPurpose(id)),
    secrets_key: key.wrap(masterKey, keyPurpose(id)),
  }
}

/** For the end of a deployment. */
export const wiped = { secrets: null, secrets_key: null }

function keyOf({ masterKey }: Pick<WorkflowContext, 'masterKey'>, row: DeploymentRow): SealingKey {
  if (row.secrets_key === null) throw new Error('The secrets of this deployment were wiped.')
  return SealingKey.unwrap(masterKey, row.secrets_key, keyPurpose(row.id))
}

/** null once they are wiped. */
export function unseal(
  context: Pick<WorkflowContext, 'masterKey'>,
  row: DeploymentRow,
): DeploymentSecrets | null {
  if (row.secrets === null || row.secrets_key === null) return null
  const text = keyOf(context, row).open(row.secrets, textPurpose(row.id)).toString()
  return JSON.parse(text) as DeploymentSecrets
}

export const sealBootSecret = (
  context: Pick<WorkflowContext, 'masterKey'>,
  row: DeploymentRow,
  epoch: number,
  secret: string,
): Buffer => keyOf(context, row).seal(secret, bootPurpose(row.id, epoch))

export const unsealBootSecret = (
  context: Pick<WorkflowContext, 'masterKey'>,
  row: DeploymentRow,
  sealed: Buffer,
): string => keyOf(context, row).open(sealed, bootPurpose(row.id, row.epoch)).toString()
