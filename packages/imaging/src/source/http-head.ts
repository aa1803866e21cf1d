import { badHttp, refused } from './fault.ts'

/** Limits of an answer's head: bytes, and header fields. */
export const MAX_HEAD = 64 * 1024
const MAX_FIELDS = 200

/** Status line and header fields of an answer. */
export interface ResponseHead {
  /** Minor version of HTTP/1. */
  minor: 0 | 1
  status: number
  /** Lower-case names; values of repeated fields joined with ", " (RFC 9110 section 5.3). */
  fields: ReadonlyMap<string, string>
}

/** How long a body is (RFC 9112 section 6.3): a known number of bytes, chunked, or until the connection closes. */
export type Framing = { kind: 'length'; length: number } | { kind: 'chunked' } | { kind: 'close' }

const CR = 0x0d
const LF = 0x0a

/**
 * Looks for the end of a head, the first empty line. Gives the offset just behind it, or -1 when it has not arrived;
 * what was searched before, up to `from`, is not searched again.
 * @throws ImagingError DOWNLOAD as soon as the bytes cannot become a valid head.
 */
export function findHeadEnd(bytes: Buffer, from = 0): number {
  const start = bytes.subarray(0, 7).toString('latin1')
  if (!'HTTP/1.'.startsWith(start)) throw badHttp('it does not begin with HTTP/1.1 or HTTP/1.0')
  for (let at = bytes.indexOf(LF, from); at >= 0 && at < MAX_HEAD; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) throw badHttp('a line of its head ends without a carriage return')
    if (at >= 3 && bytes[at - 2] === LF) return at + 1
  }
  if (bytes.length >= MAX_HEAD) throw badHttp(`its head is longer than ${MAX_HEAD} bytes`)
  return -1
}

/**
 * Parses a whole head, its empty line included (RFC 9112 sections 4 and 5), without any of the old leniencies.
 * @throws ImagingError DOWNLOAD
 */
export function parseHead(bytes: Buffer): ResponseHead {
  const lines = bytes.toString('latin1').split('\r\n').slice(0, -2)
  const status = /^HTTP\/1\.([01]) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(lines[0] ?? '')
  if (!status) throw badHttp('its status line is malformed')
  if (lines.length - 1 > MAX_FIELDS) throw badHttp(`it has more than ${MAX_FIELDS} header fields`)
  const fields = new Map<string, string>()
  for (const line of lines.slice(1)) {
    if (/^[ \t]/.test(line)) throw badHttp('a header field is folded over several lines')
    // The class excludes CR, LF and NUL as well as all other control characters.
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line)
    if (!field) throw badHttp('a header field is malformed')
    const name = (field[1] ?? '').toLowerCase()
    const value = (field[2] ?? '').trimEnd()
    const before = fields.get(name)
    fields.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return { minor: status[1] === '1' ? 1 : 0, status: Number(status[2]), fields }
}

/**
 * The framing of the body of a final answer to a GET. Length and chunked together, lengths that differ, and codings
 * that were not asked for are refused: two readers could see two different files.
 * @throws ImagingError DOWNLOAD
 */
export function bodyFraming({ minor, status, fields }: ResponseHead): Framing {
  const coding = fields.get('transfer-encoding')
  const length = declaredLength(fields.get('content-length'))
  if (coding !== undefined && length !== undefined)
    throw badHttp('it has both a length and a transfer coding')
  if (status === 204 || status === 304) return { kind: 'length', length: 0 }
  if (coding !== undefined) {
    if (minor === 0) throw badHttp('it has a transfer coding, which HTTP/1.0 does not know')
    if (coding.toLowerCase() !== 'chunked') throw encoded('transfer coding')
    return { kind: 'chunked' }
  }
  return length === undefined ? { kind: 'close' } : { kind: 'length', length }
}

/** @throws ImagingError DOWNLOAD where the body is not the file itself but compressed or the like. */
export function refuseContentEncoding({ fields }: ResponseHead): void {
  const encoding = fields.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'identity' && encoding !== '') throw encoded('content encoding')
}

const encoded = (what: string) =>
  refused(
    `The server sent the image with a ${what} that was not asked for.`,
    'Switch off compression for this file at the image server, so that it is served as it is stored.',
  )

function declaredLength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const values = new Set(text.split(',').map((value) => value.trim()))
  const [value = ''] = values
  if (values.size > 1) throw badHttp('it declares two lengths that differ')
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw badHttp('the length that it declares is no usable number')
  return Number(value)
}

/** A Content-Range of one range (RFC 9110 section 14.4), or null when there is none or it leaves something open. */
export function contentRange({
  fields,
}: ResponseHead): { first: number; last: number; total: number } | null {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/i.exec(fields.get('content-range') ?? '')
  if (!match) return null
  const [first = 0, last = 0, total = 0] = match.slice(1).map(Number)
  const isSane = Number.isSafeInteger(total) && first <= last && last < total
  return isSane ? { first, last, total } : null
}
