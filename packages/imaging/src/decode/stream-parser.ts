/** What a format's story asks of the stream next: bytes to look at, or a stretch to let pass. Offsets in the served file. */
export type Want =
  | { from: number; length: number }
  | { until: number; each?: (bytes: Uint8Array, offset: number) => void }

/** The story of a format, top to bottom: it yields what it wants and is given the bytes (empty for what passed). */
export type Story = Generator<Want, void, Uint8Array>

export const bytesAt = (from: number, length: number): Want => ({ from, length })

/** Lets everything before `until` pass; `each` sees it, in pieces. */
export const past = (until: number, each?: (bytes: Uint8Array, offset: number) => void): Want =>
  each === undefined ? { until } : { until, each }

/**
 * Feeds a story from a stream that is pushed in pieces of any size. Only the bytes that are asked for are copied; a story asks
 * in the order of the file, so nothing is looked back at.
 */
export class StreamParser {
  readonly #story: Story
  #want: Want | null
  #parts: Uint8Array[] = []
  #have = 0
  position = 0

  constructor(story: Story) {
    this.#story = story
    const { value, done } = story.next(new Uint8Array(0))
    this.#want = done === true ? null : value
  }

  /** Nothing more is asked for. */
  get ended(): boolean {
    return this.#want === null
  }

  /** Throws what the story throws, and RangeError when it asks for what has gone by. */
  push(bytes: Uint8Array, offset: number): void {
    if (offset !== this.position) throw new RangeError(`expected bytes at ${this.position}, got ${offset}`)
    const end = offset + bytes.length
    while (this.#want !== null && this.#serve(this.#want, bytes, offset, end)) {
      // Until the story wants what has not come yet.
    }
    this.position = end
  }

  /** True when the want was met and the story has said what comes next. */
  #serve(want: Want, bytes: Uint8Array, offset: number, end: number): boolean {
    if ('until' in want) {
      const to = Math.min(want.until, end)
      if (to > this.position) want.each?.(bytes.subarray(this.position - offset, to - offset), this.position)
      this.position = Math.max(this.position, to)
      if (want.until > end) return false
      this.#answer(new Uint8Array(0))
      return true
    }
    const from = want.from + this.#have
    if (from < this.position) throw new RangeError(`the bytes at ${from} have gone by`)
    const to = Math.min(want.from + want.length, end)
    if (to > from) {
      const part = bytes.subarray(from - offset, to - offset)
      this.#parts.push(to < want.from + want.length ? new Uint8Array(part) : part)
      this.#have += part.length
    }
    this.position = Math.max(this.position, Math.min(to, end))
    if (this.#have < want.length) return false
    this.#answer(Buffer.concat(this.#parts, want.length))
    return true
  }

  #answer(bytes: Uint8Array): void {
    this.#parts = []
    this.#have = 0
    const { value, done } = this.#story.next(bytes)
    this.#want = done === true ? null : value
  }
}
