import { type FileHandle } from 'node:fs/promises'
import { type ByteRange } from './byte-range.ts'

/** Bytes that take the place of those of the file. */
export interface Patch {
  offset: number
  bytes: Uint8Array
}

const chunkBytes = 256 * 1024

/** The bytes of a range of the file with the patches in place, in pieces. Throws when the file is shorter than the range. */
export async function* readPatched(
  file: FileHandle,
  { start, end }: ByteRange,
  patches: readonly Patch[],
): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; ) {
    // A buffer of its own each time: the reader may hold on to the one before.
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) throw new Error('The file ends before its end.')
    const piece = chunk.subarray(0, bytesRead)
    for (const patch of patches) apply(piece, at, patch)
    yield piece
    at += bytesRead
  }
}

function apply(piece: Buffer, at: number, { offset, bytes }: Patch): void {
  const from = Math.max(at, offset)
  const to = Math.min(at + piece.length, offset + bytes.length)
  if (from < to) piece.set(bytes.subarray(from - offset, to - offset), from - at)
}
