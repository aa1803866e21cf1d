/** What the demo proves after the deployment, and how it shows it. */
import { isDeepStrictEqual, styleText } from 'node:util'
import { configDriveToolsAbsent, proveDisk, readConfigDrive, type Proof } from '../disk-proof.ts'
import { type OvhAnswer } from '../ovh-call.ts'

export interface Wanted {
  hostname: string
  sshKey: string
  userData: string
  metadata: Record<string, string>
}

/** cloud-init must read what the request asked for, user data byte for byte. */
export async function proveConfigDrive(disk: string, wanted: Wanted): Promise<Proof> {
  const what = 'cloud-init reads the config drive as asked for'
  const absent = configDriveToolsAbsent()
  if (absent.length > 0) return { what, result: 'unknown', detail: `${absent.join(', ')} absent` }
  try {
    const { metadata, userData } = await readConfigDrive(disk)
    const keys = Object.values((metadata['public_keys'] ?? {}) as Record<string, string>)
    const faults = [
      metadata['hostname'] === wanted.hostname ? '' : `hostname is ${String(metadata['hostname'])}`,
      keys.some((key) => key.trim() === wanted.sshKey) ? '' : 'the SSH key is not there',
      userData?.equals(Buffer.from(wanted.userData)) === true ? '' : 'the user data differs',
      isDeepStrictEqual(metadata['meta'] ?? {}, wanted.metadata) ? '' : 'the metadata differs',
    ].filter((each) => each !== '')
    const detail = faults.length === 0 ? `hostname ${wanted.hostname}, SSH key, user data` : faults.join('; ')
    return { what, result: faults.length === 0 ? 'holds' : 'fails', detail }
  } catch (error) {
    return { what, result: 'fails', detail: error instanceof Error ? error.message : String(error) }
  }
}

/** The old route must say `done`, with the checksum of the bytes as served. */
export function proveStatus(answer: OvhAnswer, sha256: string | undefined): Proof {
  const what = 'GET bringYourOwnImage says done'
  if (!answer.ok) return { what, result: 'fails', detail: `${answer.status}: ${answer.message}` }
  const body = answer.body as { status: string; checksum: string | null }
  const holds = body.status === 'done' && (sha256 === undefined || body.checksum === sha256)
  return { what, result: holds ? 'holds' : 'fails', detail: JSON.stringify(body) }
}

const colours = { holds: 'green', fails: 'red', unknown: 'yellow' } as const
const words = { holds: 'holds      ', fails: 'FAILS      ', unknown: 'not checked' }

/** Prints the proofs; true when none fails. */
export function showProofs(proofs: Proof[]): boolean {
  for (const { what, result, detail } of proofs) {
    console.log(`      ${styleText(colours[result], words[result])} ${what}: ${detail}`)
  }
  return proofs.every((each) => each.result !== 'fails')
}

export { proveDisk }
