/** `deflate`: RFC 1951 without a frame; `zlib`: RFC 1950. */
export type Codec = 'deflate' | 'zlib' | 'zstd'

/**
 * One run of the served file that becomes disk content. All in bytes. `zero` runs are never extents: what no extent
 * covers reads as zero. `size` is how many bytes land on the disk; for `copy` it equals `length`.
 */
export interface Extent {
  /** Where the run begins in the served file. */
  source: number
  /** Its length in the served file. A compressed cluster's length is an upper bound (qcow2 gives whole sectors). */
  length: number
  /** Where it goes on the disk. */
  disk: number
  size: number
  codec: 'copy' | Codec
}

/** Random access to an image's decoded content, for preflight and `inspect`. Offsets on the virtual disk. */
export interface ImageView {
  readonly virtualSize: number
  /** Decoded bytes at `offset`; what the image does not map reads zero; past `virtualSize` throws RangeError. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/**
 * Turns the served file, as it goes past, into extents. Pure: it owns no file and no socket.
 *
 * The caller pushes every byte once, in order. Each push returns the work that has become possible, in two kinds: extents
 * whose bytes all lie in what the caller still holds (from `needsFrom` on), and blocks that were kept because their place was
 * not known when they went past.
 */
export interface StreamDecoder {
  readonly virtualSize: number
  /** First served offset that the caller must still hold (not overwrite), given what was pushed so far. */
  readonly needsFrom: number
  /** `bytes` are the served bytes at `offset`; `offset` continues where the last push ended. Throws ImagingError. */
  push(bytes: Uint8Array, offset: number): DecodedWork
  /** The served file has ended at `total` bytes. Throws when a mapped cluster never came: nothing is skipped silently. */
  finish(total: number): DecodedWork
}

export interface DecodedWork {
  extents: Extent[]
  held: HeldExtent[]
}

/** Kept until now, still encoded as `extent.codec` says. */
export interface HeldExtent {
  extent: Extent
  /**
   * The served bytes of the extent, a copy. Called once for each, in the order in which the decoder gave them and before the
   * next push; what was kept for it is let go. Throws ImagingError where it cannot be read.
   */
  take(): Uint8Array
}
