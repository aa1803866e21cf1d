import { type Static, type TSchema, Type } from 'typebox'
import { type Secret } from './secret.ts'

/** `dedicated.CheckSumTypesEnum`. */
export const checkSumTypes = ['md5', 'sha1', 'sha256', 'sha512'] as const
export type CheckSumType = (typeof checkSumTypes)[number]

/** `dedicated.ImageTypesEnum`: what POST accepts. */
export const imageTypes = ['qcow2', 'raw', 'ova'] as const
export type ImageType = (typeof imageTypes)[number]

const closed = { additionalProperties: false }
const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))

/** An element of OVHcloud's `complexType.SafeKeyValueCanBeNull<T>[]`. */
export const KeyValueBody = Type.Object({ key: Type.String(), value: Type.String() }, closed)

const configDriveMembers = {
  hostname: nullable(Type.String({ description: 'Hostname' })),
  sshKey: nullable(Type.String({ description: 'SshKey' })),
  userData: nullable(Type.String({ description: 'Configuration script' })),
  userMetadatas: nullable(Type.Array(KeyValueBody, { description: 'Metadata' })),
}

/**
 * The body of `POST .../bringYourOwnImage` as a client sends it, both forms of OVHcloud's schema: `configdrive` as an
 * object (since 2020-08-17), or its members flat at the top (before).
 *
 * null: accepted, as absent, for the members that OVHcloud's schema calls nullable: those of `configdrive`, and their flat
 * twins. Clients such as python-ovh send null for what was not set. Everywhere else null is a wrong type and is refused, so
 * that a checksum or a header that a client lost on the way is never taken for "none asked for".
 */
export const ByoiBody = Type.Object(
  {
    URL: Type.String({ description: 'Image URL' }),
    type: Type.Enum([...imageTypes], { description: 'Image type' }),
    checkSum: Type.Optional(Type.String({ description: 'Image checksum' })),
    checkSumType: Type.Optional(Type.Enum([...checkSumTypes], { description: 'Checksum type' })),
    configdrive: Type.Optional(
      Type.Object(
        { enable: nullable(Type.Boolean({ description: 'enable ConfigDrive' })), ...configDriveMembers },
        { ...closed, description: 'enable and set ConfigDrive' },
      ),
    ),
    description: Type.Optional(Type.String({ description: 'Image description' })),
    diskGroupId: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description: 'Disk group id to process install on' }),
    ),
    httpHeader: Type.Optional(Type.Array(KeyValueBody, { description: 'HTTP Headers' })),
    ...configDriveMembers,
  },
  closed,
)
export type ByoiBody = Static<typeof ByoiBody>

export interface SecretKeyValue {
  key: string
  value: Secret
}

/** What goes onto the config drive. `userData` is kept byte for byte (UTF-8, at most 65,535 bytes). */
export interface ConfigDriveRequest {
  hostname: string | null
  sshKey: string | null
  userData: Secret | null
  userMetadatas: SecretKeyValue[]
}

/** The body of `POST .../bringYourOwnImage`, checked and normalised. Only `parseByoiRequest` makes one. */
export interface ByoiRequest {
  /** Normalised by the WHATWG URL parser. Its query may hold a token. */
  url: Secret
  /** For answers, logs and errors: the query masked. */
  shownUrl: string
  type: ImageType
  /** `value` in lower-case hex of the type's length. */
  checkSum: { type: CheckSumType; value: string } | null
  description: string | null
  diskGroupId: number | null
  httpHeader: SecretKeyValue[]
  /** null: no config drive. */
  configDrive: ConfigDriveRequest | null
}
