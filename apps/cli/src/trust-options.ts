import { readFileSync, statSync } from 'node:fs'
import type { FileBeside, ImageRequest } from '@byoi/imaging'
import { type Command, Option } from 'commander'
import { parseLocation } from './parse-image.ts'
import { collect } from './repeatable.ts'
import { UsageError } from './usage-error.ts'

/** What a key file may have, in bytes. */
const LONGEST_KEY_FILE = 96 * 1024

export interface TrustOptions {
  checksum?: string
  checksumUrl?: string
  checksumName?: string
  signature?: string
  signatureOf?: 'image' | 'sums'
  key: string[]
}

/** `key`: the value of --key as the help shows it, and what it is. */
export function withTrust(command: Command, key: { value: string; what: string }): Command {
  return command
    .option('--checksum-url <url>', 'take the checksum from a file that lists some, such as SHA256SUMS')
    .option('--checksum-name <name>', "the image's name in that file; default: the last part of its URL")
    .option('--signature <url>', 'signature of the image or of the checksum file: minisign or OpenPGP')
    .addOption(
      new Option('--signature-of <what>', 'default: sums with --checksum-url, else image').choices([
        'image',
        'sums',
      ]),
    )
    .option(`--key <${key.value}>`, `${key.what}; may be repeated`, collect, [])
}

/** What the signature is of. Throws UsageError where the options do not go together. */
export function signatureOf(options: TrustOptions): 'image' | 'sums' {
  const { checksum, checksumUrl, checksumName, signature, key } = options
  const of = options.signatureOf ?? (checksumUrl === undefined ? 'image' : 'sums')
  if (checksum !== undefined && checksumUrl !== undefined)
    throw new UsageError('Give --checksum or --checksum-url, not both.')
  if (checksumUrl === undefined && (checksumName !== undefined || of === 'sums'))
    throw new UsageError('--checksum-name and --signature-of sums need --checksum-url.')
  if (signature === undefined && options.signatureOf !== undefined)
    throw new UsageError('--signature-of needs --signature.')
  if (signature !== undefined && key.length === 0)
    throw new UsageError('--signature needs --key: the public key of whoever signs.')
  if (key.length > 0 && signature === undefined && checksumUrl === undefined)
    throw new UsageError('--key needs --signature, or --checksum-url with a clear-signed file.')
  return of
}

/** As the image engine takes them. Throws UsageError. */
export function parseTrust(options: TrustOptions): Pick<ImageRequest, 'sums' | 'signature'> {
  const of = signatureOf(options)
  const { checksumUrl, checksumName, signature } = options
  const keys = options.key.map(readKey)
  const signedBy: FileBeside | null = signature === undefined ? null : parseLocation(signature)
  const isOfImage = of === 'image' && signedBy !== null
  const list = { keys: isOfImage ? [] : keys, signature: isOfImage ? null : signedBy }
  return {
    sums:
      checksumUrl === undefined
        ? null
        : { ...parseLocation(checksumUrl), name: checksumName ?? null, ...list },
    signature: isOfImage ? { ...signedBy, keys } : null,
  }
}

/** The text of a file where there is one of that name, of a binary one as base64; else the key itself. */
export function readKey(text: string): string {
  const stats = statSync(text, { throwIfNoEntry: false })
  if (stats === undefined) return text
  if (!stats.isFile() || stats.size > LONGEST_KEY_FILE)
    throw new UsageError(`${text} is no file of at most ${LONGEST_KEY_FILE} bytes.`)
  const bytes = readFileSync(text)
  return (bytes[0] ?? 0) & 0x80 ? bytes.toString('base64') : bytes.toString()
}
