/**
 * Where image bytes come from: one opened image, as served. Bytes are exactly those that the checksum is about; nothing is
 * decoded here. Offsets and lengths in bytes.
 */
export interface ImageSource {
  /** For messages: user-info removed and query masked. */
  readonly shownUrl: string
  /** Length of the served file; undefined when the server does not say (chunked). */
  readonly size: number | undefined
  /** True when `readAt` works: a local file, or a server that answered 206 and gave a strong validator. */
  readonly ranged: boolean
  /**
   * Fills `into` with the bytes at `offset`. Only where `ranged`. A read past the end is an ImagingError (`FORMAT` is the
   * caller's word for it, so it throws RangeError here); a changed file is DOWNLOAD with `startAgain`.
   */
  readAt(offset: number, into: Uint8Array): Promise<void>
  /**
   * Delivers every served byte once, in order, from 0 to the end, resuming lost connections where it safely can. Returns
   * the number of bytes. Throws ImagingError DOWNLOAD or TIMEOUT; with `startAgain` when only a new start from byte 0 helps.
   */
  stream(sink: ByteSink): Promise<number>
  close(): Promise<void>
}

/** Receives a stream without a copy: the source writes straight into the memory that the sink reserves. */
export interface ByteSink {
  /**
   * Memory for the next bytes, at least 1 byte, best near 1 MiB. A promise when there is no room yet (back-pressure: the
   * source stops reading). At most one reservation is open.
   */
  reserve(): Uint8Array | Promise<Uint8Array>
  /** The first `length` bytes of the reservation have been filled, 0 < length <= its length. */
  commit(length: number): void
}
