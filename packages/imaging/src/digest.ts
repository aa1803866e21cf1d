import type { Worker } from 'node:worker_threads'
import type { CheckSumType, ImageRequest } from './deploy-image.types.ts'
import { ImagingError } from './error.ts'
import type { RingShare } from './pipeline/ring.ts'
import { startThread } from './pipeline/workers.ts'

/** Indexes of the shared positions: bytes in the ring (`-total - 1` once the file has ended), bytes hashed, and "tell me when more is". */
export const COMMITTED = 0
export const HASHED = 1
export const WANTED = 2

export interface DigestSetup {
  ring: RingShare
  positions: SharedArrayBuffer
  type: CheckSumType
}

/**
 * The digest of the bytes as served, taken from the ring by a thread of its own: MD5 and SHA-512 are slower than the
 * network and the disk, and must overlap with both.
 */
export class Digest {
  readonly #positions: BigInt64Array
  readonly #worker: Worker
  readonly #result: Promise<string>

  /** `onRoom` is called after `wantRoom`, when more has been hashed. */
  constructor(ring: RingShare, type: CheckSumType, onRoom: () => void) {
    const positions = new SharedArrayBuffer(3 * 8)
    this.#positions = new BigInt64Array(positions)
    this.#worker = startThread('./digest-worker.ts', { ring, positions, type } satisfies DigestSetup)
    this.#result = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: string | null) => (message === null ? onRoom() : resolve(message)))
      this.#worker.on('error', reject)
    })
    this.#result.catch(() => undefined) // heard by whoever asks for the result
  }

  /** How many bytes are hashed, and so are not needed in the ring any more. */
  get hashed(): number {
    return Number(Atomics.load(this.#positions, HASHED))
  }

  /** Asks for one call of `onRoom`. Read `hashed` after this, not before. */
  wantRoom(): void {
    Atomics.store(this.#positions, WANTED, 1n)
  }

  /** The first `total` bytes are in the ring. */
  commit(total: number): void {
    Atomics.store(this.#positions, COMMITTED, BigInt(total))
    Atomics.notify(this.#positions, COMMITTED)
  }

  /** The file ended at `total` bytes: gives its digest in lower-case hex. */
  finish(total: number): Promise<string> {
    this.commit(-total - 1)
    return this.#result
  }

  close(): void {
    void this.#worker.terminate()
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
  })
}
