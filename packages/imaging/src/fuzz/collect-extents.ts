import assert from 'node:assert/strict'
import type { DecodedWork, Extent, StreamDecoder } from '../decode/extent.ts'
import { decodeCluster } from '../decode/inflate.ts'
import type { Random } from './random.ts'
import { cut } from './pieces.ts'

/** What a decoder found, in the order of the disk; copies that continue each other are one. */
export interface Collected {
  virtualSize: number
  /** Bytes of one decoded block. */
  clusterSize: number
  extents: Extent[]
  /** The served bytes of each of `extents`. */
  bytes: Buffer[]
}

type Decoder = StreamDecoder & { readonly clusterSize: number }

/**
 * Feeds all of `file` in pieces. Asserts what callers rely on: each extent lies in what they still hold, inside the disk, on whole
 * sectors, and no place of the disk comes twice.
 */
export function collectExtents(decoder: Decoder, file: Buffer, random: Random): Collected {
  const found: { extent: Extent; bytes: Buffer }[] = []
  const take = ({ extents, held }: DecodedWork, from: number, to: number) => {
    for (const extent of extents) {
      const end = extent.source + extent.length
      assert.ok(
        extent.source >= from && end <= to,
        `an extent from ${extent.source} to ${end} of ${from} to ${to}`,
      )
      found.push({ extent: { ...extent }, bytes: file.subarray(extent.source, end) })
    }
    for (const each of held) {
      const { extent } = each
      const bytes = each.take()
      assert.ok(
        file.subarray(extent.source, extent.source + extent.length).equals(bytes),
        'other bytes were held',
      )
      found.push({ extent, bytes: Buffer.from(bytes) })
    }
  }
  let at = 0
  for (const piece of cut(file, random)) {
    const from = decoder.needsFrom
    take(decoder.push(piece, at), from, at + piece.length)
    at += piece.length
    assert.ok(decoder.needsFrom >= from && decoder.needsFrom <= at, 'what is needed goes on with the stream')
  }
  const from = decoder.needsFrom
  take(decoder.finish(file.length), from, file.length)
  return inOrder(decoder, found)
}

function inOrder(
  { virtualSize, clusterSize }: Decoder,
  found: { extent: Extent; bytes: Buffer }[],
): Collected {
  found.sort((a, b) => a.extent.disk - b.extent.disk)
  const collected: Collected = { virtualSize, clusterSize, extents: [], bytes: [] }
  let free = 0
  for (const { extent, bytes } of found) {
    const { disk, size, source, length, codec } = extent
    assert.ok(disk >= free, `bytes of the disk at ${disk} come twice`)
    free = disk + size
    assert.ok(free <= virtualSize, `an extent ends at ${free} of a disk of ${virtualSize} bytes`)
    assert.ok(size > 0 && size % 512 === 0 && disk % 512 === 0, 'an extent is whole sectors')
    assert.equal(codec === 'copy' ? length : size, size)
    const last = collected.extents.at(-1)
    const goesOn =
      last !== undefined && last.disk + last.size === disk && last.source + last.length === source
    if (goesOn && last.codec === 'copy' && codec === 'copy') {
      last.length += length
      last.size += size
      collected.bytes[collected.bytes.length - 1] = Buffer.concat([collected.bytes.at(-1) as Buffer, bytes])
    } else {
      collected.extents.push(extent)
      collected.bytes.push(bytes)
    }
  }
  return collected
}

/** Largest disk that is made whole, in bytes. */
export const SMALL_DISK = 1024 * 1024

/** The disk. Throws ImagingError as a deployment does when it writes. */
export function contentOf({ virtualSize, clusterSize, extents, bytes }: Collected): Buffer {
  const disk = Buffer.alloc(virtualSize)
  for (const [index, { disk: at, size, codec }] of extents.entries()) {
    const into = disk.subarray(at, at + size)
    if (codec === 'copy') into.set(bytes[index] as Buffer)
    else decodeCluster(codec, bytes[index] as Buffer, into, clusterSize)
  }
  return disk
}
