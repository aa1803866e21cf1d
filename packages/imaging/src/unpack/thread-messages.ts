import type { ImagingCode } from '../error.ts'
import type { Packing } from './packing.ts'

export interface ThreadSetup {
  packing: ThreadPacking
  ramBytes: number
}

/** What is unpacked in a thread of its own, since nothing else could go on beside it. Node does the others in its thread pool. */
export type ThreadPacking = Extract<Packing, 'xz' | 'bzip2'>

/** What the thread says; each is answered once, in order, but for the last two, which end everything. */
export type FromThread =
  /** Answered by bytes, or by null at the end of the packed file. */
  | { kind: 'more' }
  /** Answered by null once there is room for another piece. */
  | { kind: 'piece'; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'end' }
  | { kind: 'failure'; failure: { code: ImagingCode; cause: string; remedy: string } }

export type ToThread = Uint8Array | null

/** Messages in the order in which they come, for whoever asks next. */
export class Inbox<T> {
  readonly #come: T[] = []
  readonly #waiting: ((message: T) => void)[] = []

  put(message: T): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#come.push(message)
    else next(message)
  }

  get(): Promise<T> {
    const message = this.#come.shift()
    if (message !== undefined) return Promise.resolve(message)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
