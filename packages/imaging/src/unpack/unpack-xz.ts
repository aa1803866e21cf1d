import { ReadableStream } from 'node:stream/web'
import xzDecompress from 'xz-decompress'
import { ImagingError } from '../error.ts'
import { PackedReader } from './packed-reader.ts'
import { cutOff, damaged, type Unpack } from './packing.ts'
import { XzWalk } from './xz-walk.ts'

/**
 * One or several streams with padding between (xz file format 1.1.0 section 2). The package decodes one stream and checks its
 * integrity; where that ends, and what may not be in it, is found by walking its structure.
 */
export const unpackXz: Unpack = async function* (packed, ramBytes) {
  const reader = new PackedReader(packed)
  do {
    yield* unpackStream(reader, new XzWalk(ramBytes))
    await passPadding(reader)
  } while (!(await reader.atEnd()))
}

async function* unpackStream(reader: PackedReader, walk: XzWalk): AsyncGenerator<Uint8Array> {
  try {
    const pieces = new xzDecompress.XzReadableStream(ReadableStream.from(bytesOf(reader, walk)))
    for await (const piece of pieces as AsyncIterable<Uint8Array>) {
      if (piece.length > 0) yield piece
    }
  } catch (error) {
    throw error instanceof ImagingError ? error : damaged('xz', error)
  }
  if (!walk.ended) throw damaged('xz')
}

/** The bytes of one stream. */
async function* bytesOf(reader: PackedReader, walk: XzWalk): AsyncGenerator<Uint8Array> {
  while (!walk.ended) {
    if (await reader.atEnd()) throw cutOff('xz')
    const bytes = reader.rest.subarray(0, walk.pass(reader.rest))
    reader.skip(bytes.length)
    yield bytes
  }
}

/** Zeros, a multiple of four bytes (section 2.2). */
async function passPadding(reader: PackedReader): Promise<void> {
  let length = 0
  while (!(await reader.atEnd())) {
    const { rest } = reader
    const found = rest.findIndex((byte) => byte !== 0)
    const zeros = found < 0 ? rest.length : found
    reader.skip(zeros)
    length += zeros
    if (found >= 0) break
  }
  if (length % 4 !== 0) throw damaged('xz')
}
