import { BadParameter, badField } from './bad-parameter.ts'
import {
  ByoiBody,
  type ByoiRequest,
  type CheckSumType,
  checkSumTypes,
  type ConfigDriveRequest,
  type DeployableType,
  imageTypes,
  type RequestedUrl,
} from './byoi-request.types.ts'
import { checkShape } from './check-shape.ts'
import { parseConfigDrive } from './config-drive-request.ts'
import { errorMessage } from './errors.ts'
import { parseHttpHeader } from './http-header.ts'
import { parseImageUrl } from './image-url.ts'
import { maskUrl, Secret } from './secret.ts'

const call = 'POST/bringYourOwnImage'
const maxDescriptionBytes = 1024
const hexDigits: Record<CheckSumType, number> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 }
const flatMembers = ['hostname', 'sshKey', 'userData', 'userMetadatas'] as const

/**
 * Checks the body of `POST .../bringYourOwnImage` (a value from `parseStrictJson`) and normalises it. Throws
 * `BadParameter`: with OVHcloud's own sentence for a bad image type and a bad checksum type, else naming the field.
 * `deniedPorts` replaces the built-in list.
 */
export function parseByoiRequest(
  value: unknown,
  options: { deniedPorts?: readonly number[] } = {},
): ByoiRequest {
  refuseUnknownTypes(value)
  const body = checkShape(ByoiBody, value, call)
  return {
    ...requestOf(body, options),
    sums: null,
    signature: null,
    keyNames: [],
    growLastPartition: false,
    disks: [],
  }
}

/**
 * What both calls have in common.
 * @throws BadParameter
 */
export function requestOf(
  body: Omit<ByoiBody, 'type'> & { type: DeployableType },
  options: { deniedPorts?: readonly number[] } = {},
): Omit<ByoiRequest, 'sums' | 'signature' | 'keyNames' | 'growLastPartition' | 'disks'> {
  return {
    ...requestedUrl(body.URL, 'URL', options.deniedPorts),
    type: body.type,
    checkSum: parseCheckSum(body),
    description: body.description === undefined ? null : parseDescription(body.description),
    diskGroupId: body.diskGroupId ?? null,
    httpHeader: parseHttpHeader(body.httpHeader ?? []),
    configDrive: chooseConfigDrive(body),
  }
}

/** @throws BadParameter for `field` */
export function requestedUrl(text: string, field: string, deniedPorts?: readonly number[]): RequestedUrl {
  const url = parseImageUrl(text, field, deniedPorts)
  return { url: new Secret(url), shownUrl: maskUrl(url) }
}

/** The two enumerations have sentences of their own, so they are judged before the shape. `types`: those of the call. */
export function refuseUnknownTypes(value: unknown, types: readonly string[] = imageTypes): void {
  if (typeof value !== 'object' || value === null) return
  const { type, checkSumType } = value as { type?: unknown; checkSumType?: unknown }
  if (typeof type === 'string' && !types.includes(type)) throw badImageType(types)
  if (checkSumType !== undefined && !checkSumTypes.some((known) => known === checkSumType)) {
    throw new BadParameter(errorMessage('SUMTYPE'), {
      code: 'SUMTYPE',
      field: 'checkSumType',
      reason: 'The value of checkSumType is not a checksum type that byoi knows.',
      remedy: `Send checkSumType as one of ${checkSumTypes.join(', ')}, in lower case.`,
    })
  }
}

const badImageType = (types: readonly string[]): BadParameter =>
  new BadParameter(errorMessage('FORMAT'), {
    code: 'FORMAT',
    field: 'type',
    reason: 'The value of type is not an image type that byoi knows.',
    remedy: `Send type as one of ${types.join(', ')}, in lower case, and convert the image where it is another.`,
  })

function parseCheckSum({
  checkSum,
  checkSumType: type,
}: Pick<ByoiBody, 'checkSum' | 'checkSumType'>): ByoiRequest['checkSum'] {
  if (checkSum === undefined && type === undefined) return null
  if (checkSum === undefined || type === undefined) {
    throw new BadParameter('Please provide checkSum AND checkSumType or none of them', {
      field: checkSum === undefined ? 'checkSum' : 'checkSumType',
      reason: 'Only one of checkSum and checkSumType was sent.',
      remedy: 'Send both, or leave both out.',
    })
  }
  const digits = hexDigits[type]
  if (checkSum.length !== digits || !/^[0-9A-Fa-f]+$/.test(checkSum)) {
    throw badField('checkSum', `be ${digits} hexadecimal digits for ${type}`)
  }
  return { type, value: checkSum.toLowerCase() }
}

function parseDescription(text: string): string {
  if (Buffer.byteLength(text) > maxDescriptionBytes || /(?![\t\n\r])\p{Cc}/u.test(text)) {
    throw badField('description', `be at most ${maxDescriptionBytes} bytes long, without control characters`)
  }
  return text
}

/**
 * The config drive of either form. Without `enable`, or with null, any other member asks for one. With `enable: false` the
 * other members are checked and then left aside: that is what the word says, and clients keep them in their forms.
 */
function chooseConfigDrive(body: Omit<ByoiBody, 'type'>): ConfigDriveRequest | null {
  const flat = flatMembers.filter((name) => isGiven(body[name]))
  if (body.configdrive === undefined) return flat.length === 0 ? null : parseConfigDrive(body, '')
  if (flat.length > 0) {
    throw badField(flat[0] ?? '', 'stand inside configdrive when configdrive is given')
  }
  const { enable, ...members } = body.configdrive
  const drive = parseConfigDrive(members, 'configdrive.')
  const asked = enable ?? Object.values(members).some(isGiven)
  return asked ? drive : null
}

const isGiven = (member: unknown): boolean => member !== undefined && member !== null
