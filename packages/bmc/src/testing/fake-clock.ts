import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Timekeeper } from '../clock.ts'

/**
 * Time that passes only while somebody sleeps: `sleep` moves it forward at once and lets others run. A timeout strikes when
 * a sleep has moved time past it, so whoever stays silent in a test sleeps for as long as the silence lasts.
 */
export class FakeClock implements Timekeeper {
  #now = 0
  readonly #timeouts: { at: number; abort: () => void }[] = []

  now(): number {
    return this.#now
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const until = this.#now + ms
    for (let next = this.#nextBy(until); next !== undefined; next = this.#nextBy(until)) {
      this.#now = Math.max(this.#now, next.at)
      this.#timeouts.splice(this.#timeouts.indexOf(next), 1)
      next.abort()
      // Whoever waited for it goes on at that time, not at the end of this sleep.
      await nextTurn()
    }
    this.#now = Math.max(this.#now, until)
    await nextTurn()
    signal.throwIfAborted()
  }

  timeout(ms: number): AbortSignal {
    const controller = new AbortController()
    const abort = () => controller.abort(new DOMException('The time is over', 'TimeoutError'))
    if (ms <= 0) abort()
    else this.#timeouts.push({ at: this.#now + ms, abort })
    return controller.signal
  }

  #nextBy(until: number): { at: number; abort: () => void } | undefined {
    return this.#timeouts.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
  }
}
