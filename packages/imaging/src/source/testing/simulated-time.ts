import { syncBuiltinESMExports } from 'node:module'
import { mock } from 'node:test'
import timers from 'node:timers/promises'

interface Timer {
  at: number
  /** Intervals only. */
  every: number | null
  /** What was asked for, in ms. */
  ms: number
  run: () => void
}

/**
 * Time that stands still until `pass` is called, for limits of minutes over real sockets. A pause between two attempts
 * passes at once. It is the time of timers and of `performance.now()` in this thread.
 */
export class SimulatedTime implements Disposable {
  /** Pauses that the code under test made, in ms. */
  readonly pauses: number[] = []
  /** Whole milliseconds, so that sums of times are exact. */
  readonly #began = Math.ceil(performance.now())
  readonly #later = globalThis.setTimeout
  readonly #timers = new Set<Timer>()
  #now = this.#began

  constructor() {
    const start = (every: boolean) => (run: (value?: unknown) => void, ms: number, value?: unknown) => {
      const timer: Timer = { at: this.#now + ms, every: every ? ms : null, ms, run: () => run(value) }
      this.#timers.add(timer)
      return timer
    }
    const clear = (timer: unknown): void => void this.#timers.delete(timer as Timer)
    const replaced = {
      setTimeout: start(false),
      setInterval: start(true),
      clearTimeout: clear,
      clearInterval: clear,
    }
    for (const [name, run] of Object.entries(replaced))
      mock.method(globalThis, name as 'setTimeout', run as never)
    mock.method(performance, 'now', () => this.#now)
    mock.method(
      timers,
      'setTimeout',
      (ms: number, _: unknown, options?: { ref?: boolean }): Promise<void> => {
        if (options?.ref === false) return new Promise(() => undefined) // a limit, not a pause
        this.pauses.push(ms)
        this.pass(Math.ceil(ms))
        return Promise.resolve()
      },
    )
    syncBuiltinESMExports()
  }

  /** How much time passed, in ms. */
  get passed(): number {
    return this.#now - this.#began
  }

  pass(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const [due] = [...this.#timers].toSorted((a, b) => a.at - b.at)
      if (!due || due.at > until) break
      this.#now = Math.max(this.#now, due.at)
      if (due.every === null) this.#timers.delete(due)
      else due.at += due.every
      due.run()
    }
    this.#now = until
  }

  /** How many timers of `ms` run. */
  counts(ms: number): number {
    return [...this.#timers].filter((timer) => timer.ms === ms).length
  }

  /** Waits, in real time, until a timer of `ms` runs: then its part of the code waits for something. */
  waitsFor(ms: number): Promise<void> {
    return this.until(() => this.counts(ms) > 0)
  }

  /** Lets `ms` pass again and again while a timer of `ms` runs, until `promise` has ended: for those that nobody answers. */
  async passWhile<T>(promise: Promise<T>, ms: number): Promise<T> {
    let hasEnded = false
    const end = (): void => void (hasEnded = true)
    promise.then(end, end)
    for (;;) {
      await this.until(() => hasEnded || this.counts(ms) > 0)
      if (hasEnded) return await promise
      this.pass(ms)
    }
  }

  /** Waits in real time, `ms`. */
  async rest(ms: number): Promise<void> {
    await new Promise((resolve) => this.#later(resolve, ms))
  }

  /** Waits, in real time, until `isSo`. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await this.rest(1)
  }

  [Symbol.dispose](): void {
    mock.restoreAll()
    syncBuiltinESMExports()
  }
}
