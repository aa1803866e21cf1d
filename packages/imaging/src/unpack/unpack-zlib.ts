import type { Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { ImagingError } from '../error.ts'
import { PackedReader } from './packed-reader.ts'
import { cutOff, damaged, needsMemory, type Packing, type Unpack } from './packing.ts'

/** Bytes of one piece of output: larger pieces unpack half as fast again as Node's default of 16 KiB. */
const PIECE = 1024 * 1024
/** What the zstd program accepts without being asked to: 128 MiB. */
const LARGEST_WINDOW_LOG = 27
/** What the format's smallest window has (RFC 8878 section 3.1.1.1.2). */
const SMALLEST_WINDOW_LOG = 10

type ZlibStream = Transform & { readonly bytesWritten: number }

/** One or several members, one after the other (RFC 1952 section 2.2). Its window has 32 KiB. `piece`: bytes of one of output. */
export const gunzipBy =
  (piece: number): Unpack =>
  (packed) =>
    unpackMembers('gzip', packed, () => createGunzip({ chunkSize: piece }))

/** One or several frames, skippable ones among them (RFC 8878 section 3.1). `piece`: bytes of one of output. */
export const unzstdBy =
  (piece: number): Unpack =>
  (packed, ramBytes) => {
    const windowLog = Math.max(SMALLEST_WINDOW_LOG, Math.floor(Math.log2(ramBytes)))
    const params = { [constants.ZSTD_d_windowLogMax]: Math.min(LARGEST_WINDOW_LOG, windowLog) }
    return unpackMembers('zstd', packed, () => createZstdDecompress({ chunkSize: piece, params }))
  }

export const unpackGzip = gunzipBy(PIECE)
export const unpackZstd = unzstdBy(PIECE)

/** Node's streams end where they see an end inside a piece: what follows must be another beginning. */
async function* unpackMembers(
  packing: Packing,
  packed: AsyncIterable<Uint8Array>,
  open: () => ZlibStream,
): AsyncGenerator<Uint8Array> {
  const reader = new PackedReader(packed)
  do {
    try {
      yield* unpackMember(reader, open())
    } catch (error) {
      throw error instanceof ImagingError ? error : explain(packing, error)
    }
  } while (!(await reader.atEnd()))
}

async function* unpackMember(reader: PackedReader, stream: ZlibStream): AsyncGenerator<Uint8Array> {
  const feeding = feed(reader, stream)
  feeding.catch((error: Error) => stream.destroy(error)) // which ends the loop
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) yield piece
  } finally {
    stream.destroy()
  }
  await feeding
}

/** Until the stream has ended or `reader` has. */
async function feed(reader: PackedReader, stream: ZlibStream): Promise<void> {
  let isClosed = false
  let settle = () => {}
  // A write after which the stream failed or ended is never called back.
  stream.on('close', () => {
    isClosed = true
    settle()
  })
  while (!(await reader.atEnd())) {
    if (isClosed) return
    const before = stream.bytesWritten
    await new Promise<void>((resolve) => {
      settle = resolve
      stream.write(reader.rest, () => resolve())
    })
    reader.skip(stream.bytesWritten - before)
  }
  stream.end()
}

function explain(packing: Packing, origin: unknown): ImagingError {
  const { code = '' } = origin as { code?: string }
  if (code === 'ZSTD_error_frameParameter_windowTooLarge')
    return needsMemory(
      packing,
      'a large window',
      'Compress the image with zstd -19 or less, without --long and --ultra.',
    )
  return code === 'Z_BUF_ERROR' ? cutOff(packing, origin) : damaged(packing, origin)
}
