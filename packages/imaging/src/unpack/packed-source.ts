import { createHash, type Hash } from 'node:crypto'
import type { CheckSumType } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import type { ByteSink, ImageSource } from '../source/source.ts'
import { deliver } from './deliver.ts'
import { PACKING_BYTES, type Packing, packingOf } from './packing.ts'
import { Peek } from './peek.ts'
import { Pipe } from './pipe.ts'
import { unpackers } from './unpack.ts'

export interface UnpackOptions {
  checkSumType: CheckSumType
  /** Bounds the window or dictionary that the file may ask for, in bytes. */
  ramBytes: number
  /** How many bytes there may be unpacked, asked for each piece of them. More than any image for the disk needs is a bomb. */
  largest: () => number
}

/** Either the source as it was, or one that unpacks where that turns out to be needed. */
export type MaybePacked = ImageSource | UnpackingSource

/** What is known to be packed. */
export type PackedFile = UnpackingSource & { readonly packing: Packing }

/** Null: it is not packed, or its first bytes have not come. */
export function packedFile(source: MaybePacked): PackedFile | null {
  return source instanceof UnpackingSource && source.packing !== null ? (source as PackedFile) : null
}

/**
 * A source whose file may be packed around the image, which is found by its first bytes. What streams then is what was packed,
 * while the digest stays that of the bytes as served. A packed file cannot be read at will.
 */
export async function unpacking(source: ImageSource, options: UnpackOptions): Promise<MaybePacked> {
  if (!source.ranged) return new UnpackingSource(source, options, null)
  const head = new Uint8Array(Math.min(PACKING_BYTES, source.size ?? PACKING_BYTES))
  await source.readAt(0, head)
  const packing = packingOf(head)
  return packing === null ? source : new UnpackingSource(source, options, packing)
}

class UnpackingSource implements ImageSource {
  readonly shownUrl: string
  readonly ranged = false
  readonly #source: ImageSource
  readonly #options: UnpackOptions
  readonly #hash: Hash
  #packing: Packing | null
  #received = 0
  #pipe: Pipe | null = null
  #unpacked: Promise<number> | null = null

  /** `packing`: where it is known before the first bytes come. */
  constructor(source: ImageSource, options: UnpackOptions, packing: Packing | null) {
    this.shownUrl = source.shownUrl
    this.#source = source
    this.#options = options
    this.#packing = packing
    this.#hash = createHash(options.checkSumType)
  }

  /** Null: not packed, or its first bytes have not come. */
  get packing(): Packing | null {
    return this.#packing
  }

  /** Bytes of the packed file that were read. */
  get received(): number {
    return this.#received
  }

  /** Bytes of the packed file; undefined where the server does not say. */
  get fileSize(): number | undefined {
    return this.#source.size
  }

  /** Of the packed file, once all of it has been read, in lower-case hex. May be asked for once. */
  digest(): string {
    return this.#hash.digest('hex')
  }

  /** Of what streams: unknown where it is packed. */
  get size(): number | undefined {
    return this.#packing === null ? this.#source.size : undefined
  }

  readAt(): Promise<void> {
    return Promise.reject(new TypeError('a packed file cannot be read at will'))
  }

  /** Whatever fails first, here, in the source or in the sink, ends all three, and is what this rejects with. */
  async stream(sink: ByteSink): Promise<number> {
    const peek = new Peek(PACKING_BYTES, (head) => this.#choose(head, sink))
    try {
      const total = await this.#source.stream(peek)
      await peek.end()
      this.#pipe?.end()
      return (await this.#unpacked) ?? total
    } catch (error) {
      this.#pipe?.fail(error as Error)
      await this.#unpacked // rejects with the first failure
      throw error
    }
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  #choose(head: Uint8Array, sink: ByteSink): ByteSink {
    this.#packing = packingOf(head)
    if (this.#packing === null) return sink
    const pipe = new Pipe()
    this.#pipe = pipe
    this.#unpacked = this.#deliverAll(this.#packing, pipe, sink)
    this.#unpacked.catch((error: Error) => pipe.fail(error))
    return pipe
  }

  async #deliverAll(packing: Packing, pipe: Pipe, sink: ByteSink): Promise<number> {
    const { ramBytes, largest } = this.#options
    let total = 0
    for await (const bytes of unpackers[packing](this.#hashed(pipe), ramBytes)) {
      total += bytes.length
      if (total > largest()) throw bomb(packing, largest())
      await deliver(bytes, sink)
    }
    return total
  }

  async *#hashed(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const bytes of packed) {
      this.#hash.update(bytes)
      this.#received += bytes.length
      yield bytes
    }
  }
}

function bomb(packing: Packing, most: number): ImagingError {
  return new ImagingError('DISK', {
    cause: `What is packed in the ${packing} file has more than ${most} bytes, more than any image for this disk.`,
    remedy: 'Use a larger disk or a smaller image.',
  })
}
