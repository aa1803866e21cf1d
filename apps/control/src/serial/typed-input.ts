/** What waits to be typed at most, in bytes. A line at 9600 baud takes a minute for it. */
const maxWaiting = 64 * 1024

/** What viewers type, until the console has taken it. */
export class TypedInput {
  readonly #waiting: Uint8Array[] = []
  #size = 0
  #open = false
  #wake: () => void = () => undefined

  /** Drops what comes while no session is open, and what is too much. */
  push(bytes: Uint8Array): void {
    if (!this.#open || this.#size + bytes.length > maxWaiting) return
    this.#waiting.push(bytes)
    this.#size += bytes.length
    this.#wake()
  }

  /** What is typed from now on, until the signal aborts. */
  async *taken(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    this.#open = true
    const wake = () => this.#wake()
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        const next = this.#waiting.shift()
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
          continue
        }
        this.#size -= next.length
        yield next
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#open = false
      this.#waiting.length = 0
      this.#size = 0
    }
  }
}
