import type { Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { detectFormat, type Format } from '../decode/magic.ts'
import { ImagingError } from '../error.ts'

/** How a file may be packed around an image. */
export type Packing = Extract<Format, 'gzip' | 'zstd'>

/** Turns packed bytes into what was packed. Everything rejects with ImagingError once the packed bytes are found damaged. */
export interface Unpacker {
  /** Resolves when `bytes` are not needed any more. */
  write(bytes: Uint8Array): Promise<void>
  /** The packed file has ended. Resolves when that is taken. */
  end(): Promise<void>
  readonly output: AsyncIterable<Uint8Array>
  /** Ends everything at once. */
  destroy(): void
}

/** First bytes of a file that `packingOf` looks at. */
export const PACKING_BYTES = 6

/** By its first bytes; null: not packed in a way that byoi unpacks. */
export function packingOf(head: Uint8Array): Packing | null {
  const format = detectFormat(head)
  return format === 'gzip' || format === 'zstd' ? format : null
}

/** Bytes of one piece of output: larger pieces unpack half as fast again as Node's default of 16 KiB. */
const PIECE = 1024 * 1024
const LARGEST_WINDOW_LOG = 27

/**
 * `ramBytes` bounds the window that a zstd file may ask for; gzip's has 32 KiB (RFC 1952, RFC 8878 section 3.1.1.1.2). A file may hold
 * several members or frames, one after the other; anything else behind them is refused.
 */
export function openUnpacker(packing: Packing, ramBytes: number): Unpacker {
  if (packing === 'gzip') return new ZlibUnpacker('gzip', createGunzip({ chunkSize: PIECE }))
  const windowLog = Math.min(LARGEST_WINDOW_LOG, Math.max(10, Math.floor(Math.log2(ramBytes))))
  const params = { [constants.ZSTD_d_windowLogMax]: windowLog }
  return new ZlibUnpacker('zstd', createZstdDecompress({ chunkSize: PIECE, params }))
}

class ZlibUnpacker implements Unpacker {
  readonly #packing: Packing
  readonly #stream: Transform

  constructor(packing: Packing, stream: Transform) {
    this.#packing = packing
    this.#stream = stream
    // Heard by `write`, `end` or `output`, whichever waits.
    stream.on('error', () => {})
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#done((callback) => this.#stream.write(bytes, callback))
  }

  async end(): Promise<void> {
    await this.#done((callback) => this.#stream.end(callback))
  }

  get output(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  destroy(): void {
    this.#stream.destroy()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of this.#stream as AsyncIterable<Buffer>) yield piece
    } catch (error) {
      throw damaged(this.#packing, error)
    }
  }

  async #done(begin: (callback: (error?: Error | null) => void) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    begin((error) => (error ? reject(damaged(this.#packing, error)) : resolve()))
    await promise
  }
}

function damaged(packing: Packing, origin: unknown): ImagingError {
  const { code = '' } = origin as { code?: string }
  if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return new ImagingError('RAM', {
      cause: 'The zstd file needs a larger window than the memory that is allowed for it.',
      remedy: 'Compress the image with zstd -19 or less, without --long and --ultra.',
      origin,
    })
  }
  const isCut = code === 'Z_BUF_ERROR' || code === 'ERR_STREAM_PREMATURE_CLOSE'
  return new ImagingError('WRITE', {
    cause: `The ${packing} file around the image is ${isCut ? 'cut off' : 'damaged, or something else stands behind it'}.`,
    remedy: `Check it with ${packing} -t and by its checksum, and upload it again.`,
    origin,
  })
}
