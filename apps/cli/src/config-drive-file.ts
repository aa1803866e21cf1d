import { readFileSync } from 'node:fs'
import { ByoiBody, checkShape, parseConfigDrive } from '@byoi/contract'
import type { ConfigDrive } from '@byoi/imaging'
import { UsageError } from './usage-error.ts'

export type ConfigDriveBody = NonNullable<ByoiBody['configdrive']>

/**
 * Reads a file that holds OVHcloud's `configdrive` object: enable, hostname, sshKey, userData, userMetadatas. Throws
 * UsageError, or BadParameter for the first member at fault.
 */
export function readConfigDriveFile(path: string): ConfigDriveBody {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    })
  }
  return checkShape(ByoiBody.properties.configdrive, parseJson(text, path), path)
}

/** null where the drive is turned off by `enable: false`. `instanceId` is new to cloud-init, so that it runs. */
export function configDriveOf(body: ConfigDriveBody, instanceId: string): ConfigDrive | null {
  const { enable, ...members } = body
  const { hostname, sshKey, userData, userMetadatas } = parseConfigDrive(members, '')
  if (enable === false) return null
  return {
    instanceId,
    hostname,
    sshKey,
    userData: userData === null ? null : Buffer.from(userData.reveal(), 'utf8'),
    userMetadatas: userMetadatas.map(({ key, value }) => ({ key, value: value.reveal() })),
    phoneHomeUrl: null,
  }
}

function parseJson(text: string, path: string): unknown {
  const parsed = tryParse(text)
  if (parsed === undefined) throw new UsageError(`${path} is not JSON.`)
  return parsed
}

/** undefined where the text is no JSON; the parser's own message would quote it, and it may hold secrets. */
function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
