import { randomBytes } from 'node:crypto'
import { ImagingError } from '../../error.ts'
import type { AddressPolicy } from '../address-policy.ts'
import { type OpenSourceRequest, openSource } from '../open-source.ts'
import type { ByteSink, ImageSource } from '../source.ts'

export const MIB = 1024 * 1024

/** Loopback allowed, as the scripted servers are there. */
export const loopback: AddressPolicy = {
  allow: ['127.0.0.0/8', '::1/128'],
  deny: [],
  allowPrivate: false,
  denyPorts: [22],
}

/** Quick retries; times that only a hanging test would reach. */
export const quick = {
  connectMs: 5000,
  headMs: 5000,
  idleMs: 5000,
  retryBudgetMs: 3000,
  retryFirstMs: 2,
  retryMostMs: 20,
  retryAfterMostMs: 30,
  surplusMs: 200,
  floorBytesPerSecond: 1,
}

export const content: Buffer = randomBytes(3 * MIB + 17)

export const open = (url: string, more: Partial<OpenSourceRequest> = {}): Promise<ImageSource> =>
  openSource({
    url,
    httpHeader: [],
    policy: loopback,
    hasCheckSum: true,
    ...more,
    limits: { ...quick, openBudgetMs: more.limits?.retryBudgetMs ?? quick.retryBudgetMs, ...more.limits },
  })

/** Keeps all that arrives; hands out memory in pieces of `size` bytes. */
export class KeepingSink implements ByteSink {
  readonly pieces: Buffer[] = []
  #total = 0
  #waiting: { total: number; resolve: () => void } | null = null
  #open: Buffer | null = null
  readonly #size: number

  constructor(size = 100_003) {
    this.#size = size
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces)
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    if (this.#open) throw new Error('two reservations are open')
    this.#open = Buffer.alloc(this.#size)
    return this.#open
  }

  commit(length: number): void {
    if (!this.#open || length < 1 || length > this.#open.length)
      throw new Error('committed what was not reserved')
    this.pieces.push(this.#open.subarray(0, length))
    this.#open = null
    this.#total += length
    if (this.#waiting && this.#total >= this.#waiting.total) this.#waiting.resolve()
  }

  /** Resolves once `total` bytes have come. */
  reached(total: number): Promise<void> {
    if (this.#total >= total) return Promise.resolve()
    return new Promise((resolve) => (this.#waiting = { total, resolve }))
  }
}

/** Opens, streams all of it, closes. */
export async function fetchAll(
  url: string,
  more: Partial<OpenSourceRequest> = {},
  sink = new KeepingSink(),
): Promise<Buffer> {
  const source = await open(url, more)
  try {
    await source.stream(sink)
    return sink.bytes
  } finally {
    await source.close()
  }
}

/** The ImagingError that `promise` ends in. */
export async function failure(promise: Promise<unknown>): Promise<ImagingError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ImagingError) return error
    throw error
  }
  throw new Error('It went well, though it should have failed.')
}
