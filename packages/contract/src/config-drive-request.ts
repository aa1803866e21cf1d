import { badField } from './bad-parameter.ts'
import { type ByoiBody, type ConfigDriveRequest, type SecretKeyValue } from './byoi-request.types.ts'
import { Secret } from './secret.ts'
import { isSshPublicKey } from './ssh-key.ts'

const maxUserDataBytes = 65_535
const maxSshKeyBytes = 16_384
const maxMetadatas = 128
const maxMetadataKeyBytes = 255
const maxMetadataValueBytes = 4096

/** Names under which a guest looks for its identity; the caller sets those by hostname and sshKey alone. */
const reservedMetadata = new Set([
  'hostname',
  'instance-id',
  'instance_id',
  'local-hostname',
  'public-keys',
  'public_keys',
  'uuid',
])

type Members = Omit<NonNullable<ByoiBody['configdrive']>, 'enable'>

/** Checks the config drive's members. `prefix`: where they stand, `configdrive.` or empty. Throws `BadParameter`. */
export function parseConfigDrive(members: Members, prefix: string): ConfigDriveRequest {
  const { hostname, sshKey, userData, userMetadatas } = members
  return {
    hostname: ifGiven(hostname, (text) => parseHostname(text, `${prefix}hostname`)),
    sshKey: ifGiven(sshKey, (text) => parseSshKey(text, `${prefix}sshKey`)),
    userData: ifGiven(userData, (text) => parseUserData(text, `${prefix}userData`)),
    userMetadatas: parseMetadatas(userMetadatas ?? [], `${prefix}userMetadatas`),
  }
}

const ifGiven = <T>(text: string | null | undefined, parse: (text: string) => T): T | null =>
  typeof text === 'string' ? parse(text) : null

/** RFC 1123 section 2.1: labels of letters, digits and inner hyphens; the last one not all digits, as in an address. */
export function isHostname(text: string): boolean {
  const labels = text.split('.')
  const last = labels.at(-1) ?? ''
  return (
    text.length <= 253 &&
    labels.every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label)) &&
    !/^(?:[0-9]+|0[xX][0-9A-Fa-f]*)$/.test(last)
  )
}

function parseHostname(text: string, field: string): string {
  if (isHostname(text)) return text
  throw badField(
    field,
    'be a host name after RFC 1123: letters, digits, inner hyphens and dots (IDN as A-labels)',
  )
}

function parseSshKey(text: string, field: string): string {
  // A key read from a file ends with a line end; it is not part of the key.
  const line = text.replace(/\r?\n$/, '')
  if (line.includes('PRIVATE KEY'))
    throw badField(field, 'be the public key; a private key stays with its owner')
  if (Buffer.byteLength(text) <= maxSshKeyBytes && isSshPublicKey(line)) return line
  throw badField(
    field,
    'be one OpenSSH public key on one line: ssh-ed25519, ssh-rsa of 2048 bits or more, ecdsa-sha2-nistp256/384/521, or their sk- forms',
  )
}

function parseUserData(text: string, field: string): Secret {
  if (Buffer.byteLength(text) > maxUserDataBytes) {
    throw badField(field, `be at most ${maxUserDataBytes} bytes long in UTF-8`)
  }
  return new Secret(text)
}

function parseMetadatas(list: readonly { key: string; value: string }[], field: string): SecretKeyValue[] {
  if (list.length > maxMetadatas) throw badField(field, `hold at most ${maxMetadatas} entries`)
  const seen = new Set<string>()
  return list.map(({ key, value }, index) => {
    const normal = key.normalize('NFC')
    if (key === '' || Buffer.byteLength(key) > maxMetadataKeyBytes || /\p{Cc}/u.test(key)) {
      throw badField(
        `${field}.${index}.key`,
        `be 1 to ${maxMetadataKeyBytes} bytes long, without control characters`,
      )
    }
    if (reservedMetadata.has(normal.toLowerCase())) {
      throw badField(`${field}.${index}.key`, 'not be a name that the config drive itself uses')
    }
    if (seen.has(normal)) throw badField(`${field}.${index}.key`, 'not be given twice')
    seen.add(normal)
    if (Buffer.byteLength(value) > maxMetadataValueBytes || value.includes('\0')) {
      throw badField(`${field}.${index}.value`, `be at most ${maxMetadataValueBytes} bytes long, without NUL`)
    }
    return { key, value: new Secret(value) }
  })
}
