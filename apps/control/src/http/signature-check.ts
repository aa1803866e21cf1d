import { createHash, timingSafeEqual } from 'node:crypto'
import { ovhSignature } from '@byoi/contract'

/** What a request was signed over, as far as the request itself tells. */
export interface SignedParts {
  method: string
  /** URLs that the client may have signed. */
  urls: string[]
  body: Uint8Array
  timestamp: string
}

/**
 * The URLs over which the client may have made its signature: each client signs the URL as it knows it. npm's `ovh` always
 * leaves the port out; go-ovh, python-ovh and php-ovh sign the endpoint as configured. Over TLS only https counts;
 * without TLS also https, because a proxy may end it. `target`: raw request target.
 */
export function candidateUrls(
  target: string,
  host: string | undefined,
  tls: boolean,
  publicUrls: readonly string[],
): string[] {
  const bases = publicUrls.map((url) => url.replace(/\/+$/, ''))
  if (host !== undefined && /^[A-Za-z0-9._:[\]-]{1,261}$/.test(host)) {
    const hosts = [host, host.replace(/:[0-9]*$/, '')]
    for (const scheme of tls ? ['https'] : ['http', 'https']) {
      for (const name of hosts) bases.push(`${scheme}://${name}`)
    }
  }
  return [...new Set(bases)].map((base) => base + target)
}

/**
 * Whether the signature is right for any of the URLs. Compares digests of equal length in constant time, and hashes for
 * every URL whatever the outcome, so that neither a near miss nor the URL that matched shows in the time.
 */
export function isSignatureRight(
  signature: string,
  applicationSecret: string,
  consumerKey: string,
  parts: SignedParts,
): boolean {
  const given = digest(signature)
  const matches = parts.urls.map((url) => {
    const { method, body, timestamp } = parts
    const right = ovhSignature({ applicationSecret, consumerKey, method, url, body, timestamp })
    return timingSafeEqual(digest(right), given)
  })
  return matches.includes(true)
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** What was hashed, for the caller to compare: no secret, no key, no body, no value of the query. */
export function describeHashed(parts: SignedParts): { hashed: string; urls: string } {
  const shown = parts.urls.map((url) => url.replace(/\?.*$/s, '?***'))
  const body = `BODY(${parts.body.length} bytes, sha1 ${createHash('sha1').update(parts.body).digest('hex')})`
  return {
    hashed: `AS+CK+${parts.method}+URL+${body}+${parts.timestamp}`,
    urls: shown.join(' '),
  }
}
