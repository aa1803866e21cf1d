import { setTimeout as wait } from 'node:timers/promises'
import { type Clock } from './bmc.ts'

/** A clock that can also end a wait for somebody else, such as for an answer that does not come. */
export interface Timekeeper extends Clock {
  /** Aborts `ms` from now with a `TimeoutError`. */
  timeout(ms: number): AbortSignal
}

/** The machine's own clock. */
export const realClock: Timekeeper = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    wait(ms, undefined, { signal }).catch((error: unknown) => {
      throw signal.aborted ? signal.reason : error
    }),
  // What is left of a budget is seldom whole, and a fraction throws.
  timeout: (ms) => AbortSignal.timeout(Math.ceil(ms)),
}
