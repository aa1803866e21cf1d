import type { AddressPolicy } from './address-policy.ts'
import { refused } from './fault.ts'

const MAX_URL = 8192

/** A URL that passed the rules which can be judged by its text. */
export interface Target {
  url: URL
  /** Host name or IP address, no brackets and no final dot. */
  host: string
  port: number
  secure: boolean
}

/**
 * Parses a URL (WHATWG), absolute or, for redirects, relative to `base`. Which addresses its host has is judged at each
 * connect, not here.
 * @throws ImagingError DOWNLOAD
 */
export function parseTarget(text: string, policy: AddressPolicy, base?: URL): Target {
  if (Buffer.byteLength(text) > MAX_URL) throw badUrl(`longer than ${MAX_URL} bytes`)
  if (!URL.canParse(text, base?.href)) throw badUrl('not a valid URL')
  const url = new URL(text, base)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw badUrl('neither http nor https')
  if (url.username !== '' || url.password !== '') throw badUrl('one with a user name or password in it')
  if (text.includes('#')) throw badUrl('one with a fragment (#)')
  const secure = url.protocol === 'https:'
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  if (port === 0 || policy.denyPorts.includes(port))
    throw badUrl(`one of port ${port}, which may not be fetched from`)
  if (url.hostname.endsWith('.')) url.hostname = url.hostname.slice(0, -1)
  if (url.hostname === '' || url.hostname.endsWith('.')) throw badUrl('one without a valid host name')
  return { url, host: url.hostname.replace(/^\[|\]$/g, ''), port, secure }
}

/** `what` completes the sentence "The URL is ...". */
const badUrl = (what: string) =>
  refused(
    `The URL of the image, or one that its server redirects to, is ${what}.`,
    'Give an http or https URL that leads straight to the image; credentials belong into httpHeader.',
  )

/** A URL fit for messages: user-info removed and the query, which may hold a token, replaced by `***`. */
export function maskUrl(text: string): string {
  if (!URL.canParse(text)) return '***'
  const url = new URL(text)
  const query = url.search === '' ? '' : '?***'
  url.username = ''
  url.password = ''
  url.hash = ''
  url.search = ''
  return url.href + query
}
