/** Bytes of a console, with how many were dropped just before them. */
export interface Piece {
  dropped: number
  data: Uint8Array
}

export interface OutputLimits {
  /** What is taken in on the average; a line at 115,200 baud brings 11,520. */
  bytesPerSecond: number
  /** What may come at once. */
  burstBytes: number
  /** What waits to be stored at most. */
  pendingBytes: number
}

export const outputLimits: OutputLimits = {
  bytesPerSecond: 256 * 1024,
  burstBytes: 1024 * 1024,
  pendingBytes: 512 * 1024,
}

/**
 * What a console has shown and is not stored yet. A flood is not held up, for that would hold up the server that writes it (a
 * virtual one waits for its serial line): what is too much is dropped and counted.
 */
export class OutputBuffer {
  readonly #limits: OutputLimits
  readonly #now: () => number
  readonly #pieces: Piece[] = []
  #tokens: number
  #filledAt: number
  #pending = 0
  #dropped = 0
  #ended = false
  #wake: () => void = () => undefined

  /** `now` in ms, monotonic. */
  constructor(limits: OutputLimits = outputLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
    this.#tokens = limits.burstBytes
    this.#filledAt = now()
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#pending
  }

  push(bytes: Uint8Array): void {
    const taken = bytes.subarray(0, this.#room())
    if (taken.length > 0) {
      this.#tokens -= taken.length
      this.#pending += taken.length
      // A copy: whoever made the bytes may use their memory again.
      this.#pieces.push({ dropped: this.#dropped, data: Uint8Array.from(taken) })
      this.#dropped = 0
    }
    this.#dropped += bytes.length - taken.length
    this.#wake()
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /**
   * The oldest bytes, `maxBytes` of them at most. `quiet`: none came for `quietMs`. null: all were taken and nothing more comes.
   */
  async next(maxBytes: number, quietMs: number): Promise<Piece | 'quiet' | null> {
    if (this.#pieces.length === 0 && !this.#ended) await this.#something(quietMs)
    const piece = this.#take(maxBytes)
    return piece ?? (this.#ended ? null : 'quiet')
  }

  #room(): number {
    const now = this.#now()
    const { bytesPerSecond, burstBytes, pendingBytes } = this.#limits
    this.#tokens = Math.min(burstBytes, this.#tokens + ((now - this.#filledAt) / 1000) * bytesPerSecond)
    this.#filledAt = now
    return Math.max(0, Math.floor(Math.min(this.#tokens, pendingBytes - this.#pending)))
  }

  #take(maxBytes: number): Piece | null {
    const [first] = this.#pieces
    if (first === undefined) return null
    const taken: Uint8Array[] = []
    let room = maxBytes
    // What came after something was dropped begins a piece of its own.
    for (let next = this.#pieces[0]; next !== undefined && room > 0; next = this.#pieces[0]) {
      if (taken.length > 0 && next.dropped > 0) break
      const data = next.data.subarray(0, room)
      taken.push(data)
      room -= data.length
      if (data.length === next.data.length) this.#pieces.shift()
      else this.#pieces[0] = { dropped: 0, data: next.data.subarray(data.length) }
    }
    const data = Buffer.concat(taken)
    this.#pending -= data.length
    return { dropped: first.dropped, data }
  }

  async #something(quietMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(resolve, quietMs)
    })
    clearTimeout(timer)
    this.#wake = () => undefined
  }
}
