/** Over which time the rate is averaged, in ms: long enough to be steady, short enough to show a stall. */
const windowMs = 10_000

/** Moving average of a growing byte count. `add` takes a monotonic time in ms. */
export class Rate {
  #samples: { at: number; bytes: number }[] = []

  add(at: number, bytes: number): void {
    this.#samples.push({ at, bytes })
    // The newest sample older than the window stays: it is where the average begins.
    while ((this.#samples[1]?.at ?? Infinity) <= at - windowMs) this.#samples.shift()
  }

  /** Bytes per second, a whole number; 0 while it cannot be known, and never negative (a stream may begin again). */
  bytesPerSecond(): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.at <= first.at) return 0
    return Math.max(0, Math.round(((last.bytes - first.bytes) * 1000) / (last.at - first.at)))
  }
}
