import { constants, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { ImagingError } from '../error.ts'
import type { Codec } from './extent.ts'
import { zstdFrameLength } from './zstd-frame.ts'

/**
 * Frames that need a larger window than 8 MiB are refused: a cluster has 2 MiB at most, and the window is memory that the
 * image asks for.
 */
const ZSTD_PARAMS = { [constants.ZSTD_d_windowLogMax]: 23 }

/**
 * Decodes one compressed cluster of `clusterSize` bytes: into `into` goes as much of its beginning as fits. `bytes` holds the
 * cluster's stream (deflate with or without zlib's frame, or one zstd frame) at its start; what follows the stream's end is ignored, since a qcow2
 * descriptor gives whole sectors. Throws ImagingError `WRITE` unless the stream yields exactly `clusterSize` bytes (or, of zlib, as many as `into` holds); never
 * holds more than that. Synchronous: meant for worker threads.
 *
 * The window of a deflate stream may be up to 32 KiB. (QEMU writes 4 KiB, other programs write more.)
 */
export function decodeCluster(
  codec: Codec,
  bytes: Uint8Array,
  into: Uint8Array,
  clusterSize: number = into.length,
): void {
  // One byte of room more than may come: the result then needs one buffer only, and too much is seen.
  const options = { chunkSize: Math.max(64, clusterSize + 1), maxOutputLength: clusterSize }
  let decoded: Buffer
  try {
    decoded = decoders[codec](bytes, options)
  } catch (error) {
    if (error instanceof ImagingError) throw error
    throw broken(
      (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE' ? 'is too long' : 'is damaged',
      error,
    )
  }
  // The last grain of a VMDK may end with the disk.
  const enough = codec === 'zlib' ? Math.min(into.length, clusterSize) : clusterSize
  if (decoded.length !== clusterSize && decoded.length !== enough) throw broken('is too short')
  into.set(into.length < clusterSize ? decoded.subarray(0, into.length) : decoded)
  release(decoded, options.chunkSize)
}

type Room = { chunkSize: number; maxOutputLength: number }

const decoders: Record<Codec, (bytes: Uint8Array, room: Room) => Buffer> = {
  deflate: (bytes, room) => inflateRawSync(bytes, { ...room, windowBits: 15 }),
  zlib: (bytes, room) => inflateSync(bytes, { ...room, windowBits: 15 }),
  zstd: (bytes, room) => zstdDecompressSync(frameOf(bytes), { ...room, params: ZSTD_PARAMS }),
}

/**
 * Gives the result's memory back at once, where it is the result's alone (small ones share Node's pool). Left to the garbage
 * collector, results pile up: 140 MiB in two workers.
 */
function release({ buffer }: Buffer, allocated: number): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === allocated) buffer.transfer(0)
}

/** Node's decoder takes what follows a frame for another one, so the frame is cut out first. */
function frameOf(bytes: Uint8Array): Uint8Array {
  const length = zstdFrameLength(bytes)
  if (length === undefined) throw broken('is damaged')
  return bytes.subarray(0, length)
}

function broken(how: string, origin?: unknown): ImagingError {
  return new ImagingError('WRITE', {
    cause: `A compressed cluster of the image ${how}.`,
    remedy: 'Check the image with qemu-img check and by its checksum, and upload it again.',
    origin,
  })
}
