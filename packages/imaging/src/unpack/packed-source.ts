import { createHash, type Hash } from 'node:crypto'
import type { CheckSumType } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import type { ByteSink, ImageSource } from '../source/source.ts'
import { openUnpacker, PACKING_BYTES, type Packing, packingOf, type Unpacker } from './unpacker.ts'

const BUFFER = 512 * 1024

export interface UnpackOptions {
  checkSumType: CheckSumType
  /** Bounds the window of a zstd file, in bytes. */
  ramBytes: number
  /** Bytes that the unpacked file may have at most: what no image for this disk can need is a bomb. */
  largest: number
}

/**
 * A source whose file may be packed by gzip or zstd around the image; found by its first bytes. What streams then is what was packed,
 * while the digest stays that of the bytes as served. A packed file cannot be read at will.
 */
export async function unpacking(
  source: ImageSource,
  options: UnpackOptions,
): Promise<ImageSource | UnpackingSource> {
  if (!source.ranged) return new UnpackingSource(source, options, null)
  const head = new Uint8Array(Math.min(PACKING_BYTES, source.size ?? PACKING_BYTES))
  await source.readAt(0, head)
  const packing = packingOf(head)
  return packing === null ? source : new UnpackingSource(source, options, packing)
}

/** `packed` becomes known with the first bytes, where it was not before. */
export class UnpackingSource implements ImageSource {
  readonly shownUrl: string
  readonly ranged = false
  readonly #source: ImageSource
  readonly #options: UnpackOptions
  readonly #hash: Hash
  #packing: Packing | null
  #received = 0

  constructor(source: ImageSource, options: UnpackOptions, packing: Packing | null) {
    this.shownUrl = source.shownUrl
    this.#source = source
    this.#options = options
    this.#packing = packing
    this.#hash = createHash(options.checkSumType)
  }

  get packing(): Packing | null {
    return this.#packing
  }

  /** Of what streams: unknown where it is packed. */
  get size(): number | undefined {
    return this.#packing === null ? this.#source.size : undefined
  }

  /** Bytes of the packed file, so far and in all. */
  get served(): { received: number; size: number | undefined } {
    return { received: this.#received, size: this.#source.size }
  }

  /** Of the packed file, once it has been streamed, in lower-case hex. */
  digest(): string {
    return this.#hash.digest('hex')
  }

  readAt(): Promise<void> {
    return Promise.reject(new TypeError('a packed file cannot be read at will'))
  }

  async stream(sink: ByteSink): Promise<number> {
    const peek = new Peek((head) => this.#choose(head, sink))
    let total: number
    try {
      total = await this.#source.stream(peek)
      await peek.end()
    } catch (error) {
      throw (await this.#unpacking?.failure()) ?? error
    }
    return this.#unpacking === null ? total : await this.#unpacking.end()
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  #unpacking: Unpacking | null = null

  #choose(head: Uint8Array, sink: ByteSink): ByteSink {
    this.#packing = packingOf(head)
    if (this.#packing === null) return sink
    const unpacker = openUnpacker(this.#packing, this.#options.ramBytes)
    this.#unpacking = new Unpacking(unpacker, sink, this.#options.largest, (bytes) => {
      this.#hash.update(bytes)
      this.#received += bytes.length
    })
    return this.#unpacking
  }
}

/** Keeps the first bytes until it can be said where all of them go. */
class Peek implements ByteSink {
  readonly #choose: (head: Uint8Array) => ByteSink
  readonly #head = Buffer.alloc(4096)
  #length = 0
  #sink: ByteSink | null = null

  constructor(choose: (head: Uint8Array) => ByteSink) {
    this.#choose = choose
  }

  reserve(): Uint8Array | Promise<Uint8Array> {
    if (this.#sink !== null) return this.#sink.reserve()
    if (this.#length < PACKING_BYTES) return this.#head.subarray(this.#length)
    return this.#begin().then((sink) => sink.reserve())
  }

  commit(length: number): void {
    if (this.#sink === null) this.#length += length
    else this.#sink.commit(length)
  }

  /** A file that was shorter than what had to be seen. */
  async end(): Promise<void> {
    if (this.#sink === null) await this.#begin()
  }

  async #begin(): Promise<ByteSink> {
    const head = this.#head.subarray(0, this.#length)
    const sink = this.#choose(head)
    await deliver(head, sink)
    this.#sink = sink
    return sink
  }
}

/** Takes the packed bytes, and hands on what they hold. */
class Unpacking implements ByteSink {
  readonly #unpacker: Unpacker
  readonly #onBytes: (bytes: Uint8Array) => void
  readonly #buffers = [0, 1].map(() => ({ memory: Buffer.allocUnsafeSlow(BUFFER), free: Promise.resolve() }))
  readonly #delivered: Promise<number>
  #failure: Error | null = null
  #next = 0

  constructor(unpacker: Unpacker, sink: ByteSink, largest: number, onBytes: (bytes: Uint8Array) => void) {
    this.#unpacker = unpacker
    this.#onBytes = onBytes
    this.#delivered = this.#deliverAll(sink, largest)
    this.#delivered.catch((error: Error) => this.#fail(error))
  }

  async reserve(): Promise<Uint8Array> {
    const buffer = this.#buffers[this.#next]
    await buffer?.free.catch(() => undefined)
    if (this.#failure !== null) throw this.#failure
    return buffer?.memory ?? Buffer.alloc(0)
  }

  commit(length: number): void {
    const buffer = this.#buffers[this.#next]
    if (buffer === undefined) return
    const bytes = buffer.memory.subarray(0, length)
    this.#onBytes(bytes)
    buffer.free = this.#unpacker.write(bytes)
    buffer.free.catch((error: Error) => this.#fail(error))
    this.#next = 1 - this.#next
  }

  /** Everything has come: gives the number of unpacked bytes. */
  async end(): Promise<number> {
    await Promise.all(this.#buffers.map(({ free }) => free))
    // An end that the unpacker refuses is told by what it gives out as well.
    const [delivered] = await Promise.all([this.#delivered, this.#unpacker.end()])
    return delivered
  }

  /** Why it ended, where it was not the source that failed. */
  async failure(): Promise<Error | null> {
    const failure = this.#failure
    this.#unpacker.destroy()
    await this.#delivered.catch(() => undefined)
    return failure
  }

  async #deliverAll(sink: ByteSink, largest: number): Promise<number> {
    let total = 0
    for await (const bytes of this.#unpacker.output) {
      total += bytes.length
      if (total > largest) throw bomb(largest)
      await deliver(bytes, sink)
    }
    return total
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#unpacker.destroy()
  }
}

async function deliver(bytes: Uint8Array, sink: ByteSink): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const memory = await sink.reserve()
    const length = Math.min(memory.length, bytes.length - at)
    memory.set(bytes.subarray(at, at + length))
    sink.commit(length)
    at += length
  }
}

function bomb(largest: number): ImagingError {
  return new ImagingError('DISK', {
    cause: `What is packed in the served file has more than ${largest} bytes, more than any image for this disk.`,
    remedy: 'Use a larger disk or a smaller image.',
  })
}
