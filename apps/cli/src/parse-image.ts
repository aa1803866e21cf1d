import type { CheckSumType, ImageRequest, ImageType } from '@byoi/imaging'
import { ImagingError } from '@byoi/imaging'
import { UsageError } from './usage-error.ts'

/** Hexadecimal digits of each digest. */
const digits: Record<CheckSumType, number> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 }

/** `URL|FILE` of a command line: an http or https URL, or a path. Throws UsageError for other schemes. */
export function parseLocation(text: string): { url: string; file: boolean } {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return { url: text, file: true }
  if (scheme !== 'http' && scheme !== 'https')
    throw new UsageError(`byoi reads http and https URLs and local files, not ${scheme} URLs.`)
  if (!URL.canParse(text)) throw new UsageError('The URL cannot be parsed.')
  return { url: text, file: false }
}

/** Throws ImagingError FORMAT for a type that byoi does not read. */
export function parseType(text: string): ImageType {
  const known = (['qcow2', 'raw', 'ova', 'vmdk'] as const).find((type) => type === text)
  if (known !== undefined) return known
  throw refused('FORMAT', `The type given is "${text}".`, 'Give --type qcow2, raw, ova or vmdk.')
}

/**
 * `TYPE:HEX`. Throws ImagingError SUMTYPE for a type that byoi does not know, and UsageError where the digest cannot be one
 * of its type.
 */
export function parseChecksum(text: string): NonNullable<ImageRequest['checkSum']> {
  const colon = text.indexOf(':')
  if (colon < 1) throw new UsageError('Write a checksum as TYPE:HEX, for example sha256:9f86...')
  const name = text.slice(0, colon).toLowerCase()
  const value = text.slice(colon + 1).toLowerCase()
  if (!isCheckSumType(name))
    throw refused(
      'SUMTYPE',
      `The checksum type given is "${name}".`,
      'Use one of md5, sha1, sha256 and sha512.',
    )
  if (!/^[0-9a-f]*$/.test(value) || value.length !== digits[name])
    throw new UsageError(`A ${name} digest has ${digits[name]} hexadecimal digits.`)
  return { type: name, value }
}

/** `Name: value`, as curl takes it. Throws UsageError; the value is a secret and not part of its message. */
export function parseHeader(text: string): { key: string; value: string } {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(text)
  if (match === null) throw new UsageError("Write a header as 'Name: value'.")
  return { key: match[1] ?? '', value: (match[2] ?? '').trimEnd() }
}

const isCheckSumType = (name: string): name is CheckSumType => Object.hasOwn(digits, name)

function refused(code: 'FORMAT' | 'SUMTYPE', cause: string, remedy: string): ImagingError {
  const error = new ImagingError(code, { cause, remedy })
  error.disk = 'untouched'
  return error
}
