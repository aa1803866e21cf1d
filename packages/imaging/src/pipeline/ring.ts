/** Bytes of a WebAssembly page. Memory of WebAssembly begins on a page of the machine, which O_DIRECT needs. */
const WASM_PAGE = 65536

/** The part of the standard interface that is used here; the compiler's libraries describe it for browsers only. */
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared?: boolean }) => { buffer: ArrayBuffer }
}

/** What a worker needs to see the ring. */
export interface RingShare {
  memory: SharedArrayBuffer
}

/** Page-aligned memory that threads can share; zero at first. `bytes` is rounded up to 64 KiB. */
export function sharedPages(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE)
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    .buffer as ArrayBufferLike as SharedArrayBuffer
}

/** Memory that is known to begin on a page; that of an ordinary buffer may begin anywhere. */
const onPages = new WeakSet<ArrayBufferLike>()

/** Whether the bytes begin at a multiple of `alignment` in memory, which O_DIRECT asks for. At most a page. */
export function isAligned(bytes: Buffer, alignment: number): boolean {
  return onPages.has(bytes.buffer) && bytes.byteOffset % alignment === 0
}

/** Page-aligned memory of one thread; zero at first. `bytes` is rounded up to 64 KiB. */
export function pages(bytes: number): Buffer {
  const count = Math.ceil(bytes / WASM_PAGE)
  const { buffer } = new WebAssembly.Memory({ initial: count, maximum: count })
  onPages.add(buffer)
  return Buffer.from(buffer, 0, bytes)
}

/**
 * The served bytes on their way: a ring that the source fills and the digest and the writers read, all without a copy.
 * A byte's place is its offset in the served file modulo the ring's size, so what is aligned in the file is aligned in
 * memory. Who may write or read where is the owner's affair; this is only the arithmetic.
 */
export class Ring {
  readonly size: number
  readonly #bytes: Buffer

  constructor(share: RingShare) {
    onPages.add(share.memory)
    this.#bytes = Buffer.from(share.memory)
    this.size = share.memory.byteLength
  }

  /** The longest piece at `offset` that does not wrap and is at most `length` bytes. */
  piece(offset: number, length: number): Buffer {
    const at = offset % this.size
    return this.#bytes.subarray(at, Math.min(at + length, this.size))
  }

  /** The bytes `offset` to `offset + length`: a view, or a copy where the run wraps. At most the ring's size. */
  read(offset: number, length: number): Buffer {
    const first = this.piece(offset, length)
    if (first.length === length) return first
    return Buffer.concat([first, this.piece(offset + first.length, length - first.length)])
  }
}
