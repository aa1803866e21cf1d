import type { CheckSumType, ImageRequest } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'

type CheckSum = NonNullable<ImageRequest['checkSum']>

/** By hexadecimal digits; the strongest last. */
const TYPES: readonly (readonly [digits: number, type: CheckSumType])[] = [
  [32, 'md5'],
  [40, 'sha1'],
  [64, 'sha256'],
  [128, 'sha512'],
]

interface Entry extends CheckSum {
  name: string
}

/**
 * The digest that a list gives for a file: as md5sum to sha512sum of GNU write it (`HEX  name`, `HEX *name`, a leading backslash
 * where the name is escaped), as those of BSD and `--tag` do (`SHA256 (name) = HEX`), or a file that holds nothing but one
 * digest. Other lines are left aside. Of several kinds of digest the strongest is taken.
 *
 * @throws ImagingError TRUST where it gives none for the name, or two that differ.
 */
export function findSum(list: string, name: string, shownList: string): CheckSum {
  const bare = digestOf(list.trim())
  if (bare) return bare
  const entries = list.split('\n').flatMap((line) => entryOf(line.replace(/\r$/, '')) ?? [])
  const own = entries.filter((entry) => entry.name === name)
  const found = TYPES.map(([, type]) => own.filter((entry) => entry.type === type)).findLast(
    (same) => same.length > 0,
  )
  const first = found?.[0]
  if (found === undefined || first === undefined) throw notListed(name, shownList, entries.length)
  if (found.some(({ value }) => value !== first.value)) throw contradiction(name, shownList)
  return { type: first.type, value: first.value }
}

function entryOf(line: string): Entry | null {
  const bsd = /^(\\?)(MD5|SHA1|SHA256|SHA512) \((.+)\) = ([0-9a-f]+)$/i.exec(line)
  const gnu = /^(\\?)([0-9a-f]+) [ *](.+)$/i.exec(line)
  const [, escaped, name = '', hex = ''] = bsd
    ? [bsd[0], bsd[1], bsd[3], bsd[4]]
    : [gnu?.[0], gnu?.[1], gnu?.[3], gnu?.[2]]
  const digest = digestOf(hex)
  if (!digest || (bsd && bsd[2]?.toLowerCase() !== digest.type)) return null
  const plain = escaped ? unescape(name) : name
  return plain === null ? null : { ...digest, name: plain.replace(/^\.\//, '') }
}

function digestOf(hex: string): CheckSum | null {
  const type = TYPES.find(([digits]) => digits === hex.length)?.[1]
  return type !== undefined && /^[0-9a-f]+$/i.test(hex) ? { type, value: hex.toLowerCase() } : null
}

/** As coreutils escapes names with line ends. Null: not so. */
function unescape(name: string): string | null {
  const meanings: Record<string, string> = { n: '\n', r: '\r', '\\': '\\' }
  if (/\\(?![nr\\])/.test(name.replaceAll('\\\\', ''))) return null
  return name.replaceAll(/\\([nr\\])/g, (_, letter: string) => meanings[letter] ?? '')
}

function notListed(name: string, shownList: string, entries: number): ImagingError {
  const what = entries === 0 ? 'no checksums at all' : `${entries} checksums, but none`
  return new ImagingError('TRUST', {
    cause: `The checksum file ${shownList} holds ${what} of a file named ${JSON.stringify(name)}.`,
    remedy: 'Name the image as the checksum file does, or give the URL of one that lists it.',
  })
}

const contradiction = (name: string, shownList: string) =>
  new ImagingError('TRUST', {
    cause: `The checksum file ${shownList} holds different checksums for ${JSON.stringify(name)}.`,
    remedy: 'Have whoever publishes the checksum file put it right, or give the checksum itself.',
  })
