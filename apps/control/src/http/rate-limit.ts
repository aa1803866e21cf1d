import { type Rate } from './http-config.ts'

/** Names that are remembered at most; the one not seen for longest is forgotten first. */
const maxNames = 10_000

/** Token buckets by name, in memory: each replica limits for itself. */
export class RateLimit {
  readonly #rate: Rate
  readonly #now: () => number
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  /** `now` in ms, monotonic. */
  constructor(rate: Rate, now: () => number = () => performance.now()) {
    this.#rate = rate
    this.#now = now
  }

  /** Takes a token; returns 0, or the seconds until there is one. */
  take(name: string): number {
    const wait = this.wait(name)
    if (wait > 0) return wait
    const tokens = this.#tokens(name) - 1
    this.#buckets.delete(name)
    this.#buckets.set(name, { tokens, at: this.#now() })
    if (this.#buckets.size > maxNames) this.#forgetOldest()
    return 0
  }

  /** Seconds until there is a token; 0 when there is one. Takes none. */
  wait(name: string): number {
    const tokens = this.#tokens(name)
    return tokens >= 1 ? 0 : (1 - tokens) / this.#rate.perSecond
  }

  #tokens(name: string): number {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) return this.#rate.burst
    const refilled = bucket.tokens + ((this.#now() - bucket.at) / 1000) * this.#rate.perSecond
    return Math.min(this.#rate.burst, refilled)
  }

  #forgetOldest(): void {
    for (const name of this.#buckets.keys()) {
      this.#buckets.delete(name)
      return
    }
  }
}
