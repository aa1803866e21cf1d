import { type Timekeeper } from '../clock.ts'

const slowestMs = 5000

/** What is left of the time that one call of the driver may take, and the caller's wish to stop. */
export class Budget {
  readonly clock: Timekeeper
  readonly signal: AbortSignal
  readonly #until: number

  /** Ends `ms` from now. */
  constructor(clock: Timekeeper, ms: number, signal: AbortSignal) {
    this.clock = clock
    this.signal = signal
    this.#until = clock.now() + ms
  }

  /** ms. */
  left(): number {
    return Math.max(0, this.#until - this.clock.now())
  }

  /** A shorter budget within this one. */
  within(ms: number): Budget {
    return new Budget(this.clock, Math.min(ms, this.left()), this.signal)
  }

  /** Pauses that grow from `first` ms by a second each, up to five: a BMC that is asked all the time is a slower one. */
  pacer(first: number): () => Promise<boolean> {
    let next = first
    return async () => {
      const ms = next
      next = Math.min(slowestMs, next + 1000)
      return await this.pause(ms)
    }
  }

  /** Sleeps. False, without having slept, when no time would be left afterwards. */
  async pause(ms: number): Promise<boolean> {
    if (ms >= this.left()) return false
    await this.clock.sleep(ms, this.signal)
    return true
  }
}
