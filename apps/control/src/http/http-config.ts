/** Tokens per second, and how many may be saved up. */
export interface Rate {
  perSecond: number
  burst: number
}

export interface HttpConfig {
  /** PEM; null: plain HTTP, for loopback or behind a proxy that ends TLS. */
  tls: { key: string; cert: string } | null
  /**
   * Base URLs, without `/1.0`, under which clients know this API where a proxy changes scheme, host or prefix; they sign
   * the URL that they know.
   */
  publicUrls: string[]
  rateLimits: {
    /** Calls of one key. */
    calls: Rate
    /** POST, PUT and DELETE on one server that were carried out; refused ones change nothing and do not count. */
    changes: Rate
    /** Failed authentications of one address. */
    badSignatures: Rate
  }
  /** Time between two comments on a silent event stream, in ms; proxies close silent connections. */
  heartbeatMs: number
  /** Longest time to send the head and the whole of a request, in ms. */
  headTimeoutMs: number
  requestTimeoutMs: number
}

export const defaultHttpConfig: HttpConfig = {
  tls: null,
  publicUrls: [],
  rateLimits: {
    calls: { perSecond: 10, burst: 60 },
    changes: { perSecond: 6 / 60, burst: 6 },
    badSignatures: { perSecond: 20, burst: 100 },
  },
  heartbeatMs: 15_000,
  headTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
}
