/** How long and how often a fetch may try. Times in ms. Time in which the receiver makes us wait never counts. */
export interface FetchLimits {
  /** From the look-up of the name to a connection that is ready, TLS included, all addresses of the name together. */
  connectMs: number
  /** From the request to the end of the answer's head. */
  headMs: number
  /** Without any byte of the body. */
  idleMs: number
  /** Each span of `floorWindowMs` must bring this many bytes per second. */
  floorBytesPerSecond: number
  floorWindowMs: number
  /** How many redirects one request may follow. */
  redirects: number
  /** How long attempts to open go on: nothing is lost yet, and a wrong URL should be told soon. */
  openBudgetMs: number
  /** How long attempts go on since the fetch last went well, once the image is open. */
  retryBudgetMs: number
  /** Pause before the second attempt; it doubles, up to `retryMostMs`, with up to half of it taken off by chance. */
  retryFirstMs: number
  retryMostMs: number
  /** The most that a server's Retry-After is honoured, and that such waits may add to a budget of attempts. */
  retryAfterMostMs: number
  /** How long to watch for bytes beyond the declared length when no checksum would find them. */
  surplusMs: number
}

export const fetchLimits: FetchLimits = {
  connectMs: 10_000,
  headMs: 60_000,
  idleMs: 60_000,
  floorBytesPerSecond: 100 * 1024,
  floorWindowMs: 300_000,
  redirects: 5,
  openBudgetMs: 60_000,
  retryBudgetMs: 900_000,
  retryFirstMs: 500,
  retryMostMs: 30_000,
  retryAfterMostMs: 120_000,
  surplusMs: 1_000,
}
