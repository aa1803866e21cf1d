import type { CheckSumType, ImageRequest } from './deploy-image.types.ts'
import { ImagingError } from './error.ts'
import type { Workers } from './pipeline/workers.ts'

/** Bytes of one job: less is not worth a message while more comes, and more would hold up what else the thread does. */
const LEAST = 512 * 1024
const MOST = 2 * 1024 * 1024

/**
 * The digest of the bytes as served, taken from the ring by one of the threads, so that MD5 and SHA-512, which are slower
 * than the network and the disk, overlap with both. One job is under way at a time.
 */
export class Digest {
  readonly #workers: Workers
  readonly #type: CheckSumType
  readonly #onProgress: () => void
  readonly #onFailure: (error: Error) => void
  readonly #result = Promise.withResolvers<string>()
  #committed = 0
  #ended = false
  #isBusy = false
  /** How many bytes are hashed, and so are not needed in the ring any more. */
  hashed = 0

  /** `onProgress` is called whenever `hashed` has grown, `onFailure` with an ImagingError. */
  constructor(
    workers: Workers,
    type: CheckSumType,
    onProgress: () => void,
    onFailure: (error: Error) => void,
  ) {
    this.#workers = workers
    this.#type = type
    this.#onProgress = onProgress
    this.#onFailure = onFailure
    this.#result.promise.catch(() => undefined) // heard by whoever asks for the result
  }

  /** The first `total` bytes are in the ring. `hurry`: what there is must be hashed, however little. */
  commit(total: number, hurry = false): void {
    this.#committed = total
    if (!this.#isBusy && total - this.hashed >= (hurry ? 1 : LEAST)) void this.#hash()
  }

  /** The file ended at `total` bytes: gives its digest in lower-case hex. Rejects with an ImagingError. */
  finish(total: number): Promise<string> {
    this.#ended = true
    this.#committed = total
    if (!this.#isBusy) void this.#hash()
    return this.#result.promise
  }

  async #hash(): Promise<void> {
    this.#isBusy = true
    try {
      do {
        const to = Math.min(this.#committed, this.hashed + MOST)
        const last = this.#ended && to === this.#committed
        const job = { kind: 'digest' as const, type: this.#type, from: this.hashed, to, last }
        const { digest } = await this.#workers.digest(job)
        this.hashed = to
        if (digest !== undefined) return this.#result.resolve(digest)
        this.#onProgress()
      } while (this.#ended || this.#committed - this.hashed >= LEAST)
      this.#isBusy = false
    } catch (error) {
      this.#result.reject(error)
      this.#onFailure(error as Error)
    }
  }
}

/** @throws ImagingError SUM where `got`, in lower-case hex, is not the digest that was asked for. */
export function assertDigest(got: string, expected: ImageRequest['checkSum']): void {
  if (!expected || got === expected.value.toLowerCase()) return
  throw new ImagingError('SUM', {
    cause: `The ${expected.type} of the downloaded file is ${got}, while ${expected.value.toLowerCase()} was given.`,
    remedy: 'Give the checksum of the file as it is served, or serve the file that was meant.',
    got,
    expected: expected.value.toLowerCase(),
    checkSumType: expected.type,
  })
}
