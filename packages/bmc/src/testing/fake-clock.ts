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
    this.#advance(ms)
    await nextTurn()
    signal.throwIfAborted()
  }

  timeout(ms: number): AbortSignal {
    const controller = new AbortController()
    const abort = () => controller.abort(new DOMException('The time is over', 'TimeoutError'))
    this.#timeouts.push({ at: this.#now + ms, abort })
    if (ms <= 0) this.#advance(0)
    return controller.signal
  }

  #advance(ms: number): void {
    this.#now += ms
    const due = this.#timeouts.filter(({ at }) => at <= this.#now)
    for (const timeout of due) {
      this.#timeouts.splice(this.#timeouts.indexOf(timeout), 1)
      timeout.abort()
    }
  }
}
