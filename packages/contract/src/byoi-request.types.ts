import { type Static, type TSchema, Type } from 'typebox'
import { type Secret } from './secret.ts'

/** `dedicated.CheckSumTypesEnum`. */
export const checkSumTypes = ['md5', 'sha1', 'sha256', 'sha512'] as const
export type CheckSumType = (typeof checkSumTypes)[number]

/** `dedicated.ImageTypesEnum`: what POST accepts. */
export const imageTypes = ['qcow2', 'raw', 'ova'] as const
export type ImageType = (typeof imageTypes)[number]

/** What our own route accepts beside them: a bare streamOptimized VMDK. */
export const deployableTypes = [...imageTypes, 'vmdk'] as const
export type DeployableType = (typeof deployableTypes)[number]

/** What a signature may be over: the image as served, or the file that lists its checksum. */
export const signedThings = ['image', 'sums'] as const
export type SignedThing = (typeof signedThings)[number]

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

/** The name of a key that an account registers. */
export const signingKeyNamePattern = '^[a-z0-9][a-z0-9._-]{0,63}$'

/**
 * The body of `POST /byoi/server/{serviceName}/deployment`: OVHcloud's call, one more image type, and how the image is to be
 * verified beside or instead of by its checksum.
 */
export const DeploymentBody = Type.Object(
  {
    ...ByoiBody.properties,
    type: Type.Enum([...deployableTypes], { description: 'Image type' }),
    checkSumUrl: Type.Optional(Type.String({ description: 'File that lists checksums, such as SHA256SUMS' })),
    checkSumName: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: 'Name of the image in that file; the last part of its URL where absent',
      }),
    ),
    signatureUrl: Type.Optional(Type.String({ description: 'Detached signature, of minisign or OpenPGP' })),
    signatureOf: Type.Optional(
      Type.Enum([...signedThings], {
        description: 'What is signed: sums where there is a checkSumUrl, else image, where absent',
      }),
    ),
    keyNames: Type.Optional(
      Type.Array(Type.String({ pattern: signingKeyNamePattern }), {
        maxItems: 8,
        uniqueItems: true,
        description: 'Signing keys of the account that calls, one of which must have signed',
      }),
    ),
    growLastPartition: Type.Optional(
      Type.Boolean({ description: 'Let the last partition reach to the end of the disk, in its table' }),
    ),
    disks: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 128, pattern: '^[ -~]+$' }), {
        minItems: 1,
        maxItems: 8,
        uniqueItems: true,
        description:
          'Disks of the server that all get the image, by serial number or WWN; instead of diskGroupId',
      }),
    ),
  },
  closed,
)
export type DeploymentBody = Static<typeof DeploymentBody>

/** A URL whose query may hold a token. */
export interface RequestedUrl {
  url: Secret
  /** For answers, logs and errors: the query masked. */
  shownUrl: string
}

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

/**
 * What is to be deployed, checked and normalised. Only `parseByoiRequest` and `parseDeploymentRequest` make one. The URL is
 * normalised by the WHATWG URL parser.
 */
export interface ByoiRequest extends RequestedUrl {
  type: DeployableType
  /** `value` in lower-case hex of the type's length. */
  checkSum: { type: CheckSumType; value: string } | null
  /** Where the checksum is listed instead, under `name`, or null: the last part of the image's URL. */
  sums: (RequestedUrl & { name: string | null }) | null
  signature: (RequestedUrl & { of: SignedThing }) | null
  /** Without a signature: one of these must have signed `sums` in itself. */
  keyNames: string[]
  /** Of our own route only. */
  growLastPartition: boolean
  /** Of our own route only: serial numbers or WWNs. Empty: the first disk of the disk group. */
  disks: string[]
  description: string | null
  diskGroupId: number | null
  httpHeader: SecretKeyValue[]
  /** null: no config drive. */
  configDrive: ConfigDriveRequest | null
}
