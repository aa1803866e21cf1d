import { badHttp } from './fault.ts'

/** Bytes of a line with a chunk's size and extensions, and of the whole trailer section. */
const MAX_SIZE_LINE = 1024
const MAX_TRAILERS = 16 * 1024

const CR = 0x0d
const LF = 0x0a

/**
 * Takes the chunked transfer coding off a body (RFC 9112 section 7.1), in pieces cut anywhere. Extensions and trailers are
 * read over; both are bounded.
 */
export class ChunkedDecoder {
  /** True once the last chunk and its trailers have been read. */
  done = false
  /** After `done`: what was pushed but does not belong to the body any more. */
  rest: Uint8Array = new Uint8Array(0)
  #state: 'size' | 'data' | 'data-end' | 'trailers' = 'size'
  #line = ''
  #left = 0
  #trailerBytes = 0;

  /**
   * The data in `bytes`, as views of it.
   * @throws ImagingError DOWNLOAD where the coding is broken.
   */
  *decode(bytes: Uint8Array): Generator<Uint8Array, void> {
    let at = 0
    while (at < bytes.length && !this.done) {
      if (this.#state === 'data') {
        const data = bytes.subarray(at, at + this.#left)
        at += data.length
        this.#left -= data.length
        if (this.#left === 0) this.#state = 'data-end'
        yield data
      } else {
        at = this.#readLine(bytes, at)
      }
    }
    this.rest = bytes.subarray(at)
  }

  /** Collects one line without its CRLF; gives the offset behind what was used. */
  #readLine(bytes: Uint8Array, from: number): number {
    const limit = this.#state === 'trailers' ? MAX_TRAILERS : MAX_SIZE_LINE
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (this.#line.endsWith('\r')) {
        if (byte !== LF) throw badHttp('a carriage return stands alone between two chunks')
        this.#endLine(this.#line.slice(0, -1))
        return at + 1
      }
      if (byte !== CR && byte !== 0x09 && (byte < 0x20 || byte === 0x7f)) {
        throw badHttp('a control character stands between two chunks')
      }
      this.#line += String.fromCharCode(byte)
      if (this.#line.length > limit) throw badHttp('what stands between two chunks is too long')
    }
    return bytes.length
  }

  #endLine(line: string): void {
    this.#line = ''
    if (this.#state === 'data-end') {
      if (line !== '') throw badHttp('a chunk is longer than its size')
      this.#state = 'size'
    } else if (this.#state === 'size') {
      this.#left = chunkSize(line)
      this.#state = this.#left === 0 ? 'trailers' : 'data'
    } else if (line === '') {
      this.done = true
    } else {
      this.#trailerBytes += line.length
      if (this.#trailerBytes > MAX_TRAILERS) throw badHttp('its trailers are too long')
    }
  }
}

function chunkSize(line: string): number {
  const match = /^([0-9a-f]+)(?:[ \t]*;.*)?$/i.exec(line)
  const size = Number.parseInt(match?.[1] ?? '', 16)
  if (!Number.isSafeInteger(size)) throw badHttp('the size of a chunk is malformed')
  return size
}
