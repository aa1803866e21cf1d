import { setTimeout as sleep } from 'node:timers/promises'

/** Waiting that is cut short when something has happened, also just before it began. */
export class Nudges {
  #pending = false
  #wake: () => void = () => undefined

  nudge(): void {
    this.#pending = true
    this.#wake()
  }

  async next(ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController()
    this.#wake = () => over.abort()
    if (!this.#pending) {
      await sleep(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => undefined)
    }
    this.#pending = false
  }
}
