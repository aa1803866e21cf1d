import { readFileSync, writeFileSync } from 'node:fs'

/** The most memory that this process had at once since the last `reset`, in bytes. Only Linux tells; elsewhere it is 0. */
export class PeakMemory {
  readonly #isKnown = process.platform === 'linux'
  #before = 0

  /** What is there now is what growth is counted from, once garbage is gone. */
  reset(): void {
    globalThis.gc?.()
    if (!this.#isKnown) return
    writeFileSync('/proc/self/clear_refs', '5')
    this.#before = this.#peak()
  }

  /** Bytes above what was there at the last `reset`. */
  get growth(): number {
    return this.#isKnown ? this.#peak() - this.#before : 0
  }

  #peak(): number {
    const [, kib = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? []
    return Number(kib) * 1024
  }
}
