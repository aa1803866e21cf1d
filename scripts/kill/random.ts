/** Seeded random numbers (mulberry32): the same seed gives the same plan again. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to 1, 1 not included. */
  next(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low)
  }

  /** One of the rows, each as likely as its weight says. */
  pick<T extends { weight: number }>(rows: readonly T[]): T {
    let left = this.next() * rows.reduce((sum, row) => sum + row.weight, 0)
    const found = rows.find((row) => (left -= row.weight) < 0) ?? rows.at(-1)
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }
}
