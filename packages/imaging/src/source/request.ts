import { refused } from './fault.ts'
import type { Target } from './target.ts'

/** Fields that frame the message or steer fetching and resuming; setting them from outside would break both. */
const OWN = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export type HeaderList = readonly { key: string; value: string }[]

/**
 * Checks the header fields that a customer gave (RFC 9110 section 5). Values are Latin-1.
 * @throws ImagingError DOWNLOAD, which never shows a value.
 */
export function checkHeaders(headers: HeaderList): void {
  for (const [index, { key, value }] of headers.entries()) {
    const name = `header ${index + 1} of httpHeader`
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(key)) throw badHeader(`The name of ${name} is not valid`)
    if (OWN.has(key.toLowerCase())) throw badHeader(`The ${name}, ${key}, may not be set`)
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw badHeader(`The value of ${name}, ${key}, holds characters that HTTP does not allow`)
    }
  }
}

const badHeader = (cause: string) =>
  refused(
    `${cause}.`,
    'Remove that header from httpHeader or correct it; Range, Host and the like are set by byoi.',
  )

export interface GetOptions {
  /** First and last byte; `last` left out means to the end. */
  range?: { first: number; last?: number }
  /** Validator that the range is valid for. */
  ifRange?: string
  /** The server is to close the connection after its answer. */
  close: boolean
}

/** One GET as it goes over the wire (RFC 9112 section 3). `headers` are the customer's. */
export function formatGet(
  { url }: Target,
  { range, ifRange, close }: GetOptions,
  headers: HeaderList,
): Buffer {
  const isGiven = (name: string): boolean => headers.some(({ key }) => key.toLowerCase() === name)
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    `Connection: ${close ? 'close' : 'keep-alive'}`,
    'Accept-Encoding: identity',
    ...(isGiven('accept') ? [] : ['Accept: */*']),
    ...(isGiven('user-agent') ? [] : ['User-Agent: byoi']),
    ...(range ? [`Range: bytes=${range.first}-${range.last ?? ''}`] : []),
    ...(ifRange === undefined ? [] : [`If-Range: ${ifRange}`]),
    ...headers.map(({ key, value }) => `${key}: ${value}`),
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}
