import { createHash } from 'node:crypto'

/** What OVHcloud's request signature is made over. */
export interface SignedRequest {
  applicationSecret: string
  consumerKey: string
  /** Upper case. */
  method: string
  /** Absolute, with the query exactly as sent. */
  url: string
  /** As sent; empty when there is none. */
  body: string | Uint8Array
  /** UNIX seconds, decimal. */
  timestamp: string
}

/**
 * OVHcloud's `X-Ovh-Signature`: `$1$` and SHA-1 in lower-case hex over secret, consumer key, method, URL, body and time,
 * joined by `+` ("First steps with the OVHcloud APIs").
 */
export function ovhSignature(request: SignedRequest): string {
  const hash = createHash('sha1')
  hash.update(`${request.applicationSecret}+${request.consumerKey}+${request.method}+${request.url}+`)
  hash.update(request.body)
  hash.update(`+${request.timestamp}`)
  return `$1$${hash.digest('hex')}`
}
