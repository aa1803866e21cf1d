import assert from 'node:assert/strict'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { Unpack } from '../unpack/packing.ts'
import { unpackBzip2 } from '../unpack/unpack-bzip2.ts'
import { unpackXz } from '../unpack/unpack-xz.ts'
import { gunzipBy, unzstdBy } from '../unpack/unpack-zlib.ts'
import { XzWalk } from '../unpack/xz-walk.ts'
import { makeBzip2 } from './bzip2-file.ts'
import type { Fuzzer } from './fuzzer.ts'
import { makeGzip } from './gzip-file.ts'
import { chanceOf, cut } from './pieces.ts'
import type { Random } from './random.ts'
import { makeXz } from './xz-file.ts'
import { makeZstd } from './zstd-file.ts'

const RAM_BYTES = 128 * 1024 * 1024
/** The compression of each format, and more: nothing of the fuzzed files is a bomb. */
const MOST_CONTENT = 64 * 1024 * 1024
/** Bytes of a piece of output, and how many pieces the input may come in: each takes a thread of Node's pool, or much memory. */
const PIECE = 4096
const PIECES = 2
/** The part of the accepted files that is read twice. */
const TWICE = 0.2

async function unpacked(unpack: Unpack, file: Buffer, random: Random): Promise<Buffer> {
  const pieces = (async function* () {
    yield* cut(file, random, PIECES)
  })()
  const content: Buffer[] = []
  let length = 0
  for await (const piece of unpack(pieces, RAM_BYTES)) {
    length += piece.length
    assert.ok(length <= MOST_CONTENT, 'more content than the format can pack')
    content.push(Buffer.from(piece))
  }
  return Buffer.concat(content)
}

/** What is accepted must begin with what another decoder makes of it, or else be the same when it comes in other pieces. */
const packedFuzzer = (
  make: Fuzzer['make'],
  unpack: Unpack,
  other: ((file: Buffer) => Buffer) | null,
): Fuzzer => ({
  make,
  async check(file) {
    const random = chanceOf(file)
    const content = await unpacked(unpack, file, random)
    if (other === null && !random.chance(TWICE)) return
    const again = other === null ? await unpacked(unpack, file, random) : other(file)
    assert.ok(content.subarray(0, again.length).equals(again), 'another content than it has')
  },
})

export const gzipFuzzer = packedFuzzer(makeGzip, gunzipBy(PIECE), gunzipSync)
/** Node's synchronous decoder stops behind the first frame. */
export const zstdFuzzer = packedFuzzer(makeZstd, unzstdBy(PIECE), zstdDecompressSync)
export const bzip2Fuzzer = packedFuzzer(makeBzip2, unpackBzip2, null)

const xz = packedFuzzer(makeXz, unpackXz, null)

/** The walk over the structure is fast, the decoder is not: what the walk refuses is given to both only sometimes. */
export const xzFuzzer: Fuzzer = {
  make: makeXz,
  async check(file) {
    const random = chanceOf(file)
    if (random.chance(0.9)) {
      const walk = new XzWalk(RAM_BYTES)
      for (const piece of cut(file, random)) if (walk.pass(piece) < piece.length) break
    }
    await xz.check(file)
  },
}
