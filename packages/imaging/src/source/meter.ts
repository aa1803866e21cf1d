import { checkServer, Lost } from './fault.ts'
import type { FetchLimits } from './fetch-limits.ts'
import type { ByteSink } from './source.ts'

/**
 * Stands before the sink of one fetch, over all of its connections: counts what arrives, and tells a server that is silent
 * or slow from a sink that makes us wait. A reservation that no byte came into is kept for the next connection.
 */
export class Meter implements ByteSink {
  /** Bytes delivered. */
  total = 0
  /** When the fetch last went well, for the budget of attempts; on the clock of `performance.now()`, ms. */
  wentWellAt = performance.now()
  readonly #sink: ByteSink
  readonly #limits: FetchLimits
  #open: Uint8Array | Promise<Uint8Array> | null = null
  #heldSince: number | null = null
  #lastByteAt = performance.now()
  #windowFrom = performance.now()
  #windowBytes = 0

  constructor(sink: ByteSink, limits: FetchLimits) {
    this.#sink = sink
    this.#limits = limits
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    this.#open ??= this.#reserveAnew()
    return this.#open
  }

  commit(length: number): void {
    this.#open = null
    this.total += length
    this.#windowBytes += length
    this.#lastByteAt = performance.now()
    this.#sink.commit(length)
  }

  /** Runs `read`, which reads from one connection, and calls `stop` once the server is silent or too slow for too long. */
  async watch(read: () => Promise<void>, stop: (reason: Lost) => void): Promise<void> {
    this.#lastByteAt = performance.now()
    const { idleMs, floorWindowMs } = this.#limits
    const tick = Math.min(1000, idleMs / 4, floorWindowMs / 4)
    const timer = setInterval(() => {
      const reason = this.#judge(performance.now())
      if (reason) stop(reason)
    }, tick)
    try {
      await read()
    } finally {
      clearInterval(timer)
    }
  }

  /** A connection was lost: a window that was quick enough so far counts as "went well". A new one begins. */
  lost(): void {
    const now = performance.now()
    const quickEnough = this.#rate(now) >= this.#limits.floorBytesPerSecond
    if (quickEnough && this.#windowBytes > 0) this.wentWellAt = now
    this.#startWindow(now)
  }

  #judge(now: number): Lost | null {
    if (this.#heldSince !== null) return null
    const { idleMs, floorWindowMs, floorBytesPerSecond } = this.#limits
    if (now - this.#lastByteAt > idleMs) {
      return new Lost('TIMEOUT', `The image server sent nothing for ${seconds(idleMs)}.`, checkServer)
    }
    if (now - this.#windowFrom < floorWindowMs) return null
    const isSlow = this.#rate(now) < floorBytesPerSecond
    this.#startWindow(now)
    if (!isSlow) this.wentWellAt = now
    return isSlow ? tooSlow(floorBytesPerSecond, floorWindowMs) : null
  }

  #rate(now: number): number {
    return (this.#windowBytes * 1000) / (now - this.#windowFrom)
  }

  #startWindow(now: number): void {
    this.#windowFrom = now
    this.#windowBytes = 0
  }

  #reserveAnew(): Uint8Array | Promise<Uint8Array> {
    const memory = this.#sink.reserve()
    return memory instanceof Uint8Array ? memory : this.#wait(memory)
  }

  async #wait(promise: Promise<Uint8Array>): Promise<Uint8Array> {
    const since = performance.now()
    this.#heldSince = since
    try {
      const memory = await promise
      this.#open = memory
      return memory
    } finally {
      const held = performance.now() - since
      this.#heldSince = null
      this.#lastByteAt += held
      this.#windowFrom += held
      this.wentWellAt += held
    }
  }
}

const tooSlow = (bytesPerSecond: number, window: number) =>
  new Lost(
    'TIMEOUT',
    `The image server sent less than ${Math.round(bytesPerSecond / 1024)} KiB per second for ${seconds(window)}.`,
    'Use an image server or a network path that is faster.',
  )

export const seconds = (ms: number): string => `${Number((ms / 1000).toPrecision(3))} s`
