/**
 * For the tests of this folder: qcow2 images made by hand, so that every field can be wrong, and a caller that holds no more
 * of the stream than decoders may rely on.
 */
import assert from 'node:assert/strict'
import { deflateRawSync } from 'node:zlib'
import type { DecodedWork, Extent, StreamDecoder } from './extent.ts'
import { decodeCluster } from './inflate.ts'
import { PlannedQcow2Decoder } from './qcow2-planned.ts'
import { type RangedSource, readQcow2Map } from './qcow2-map.ts'
import { UnplannedQcow2Decoder } from './qcow2-unplanned.ts'
import { headerBytes } from './qcow2-header.ts'

export const CLUSTER = 4096
/** Clusters of `plainImage`: header, refcount table, refcount block, L1 table, L2 table, then data. */
export const AT = {
  refcountTable: CLUSTER,
  refcountBlock: 2 * CLUSTER,
  l1: 3 * CLUSTER,
  l2: 4 * CLUSTER,
  data: 5 * CLUSTER,
}

/** A sound version 3 image of 64 KiB with three data clusters, for guest clusters 0, 1 and 5. */
export function plainImage(): Buffer {
  const image = Buffer.alloc(8 * CLUSTER)
  image.writeUInt32BE(0x514649fb, 0)
  image.writeUInt32BE(3, 4)
  image.writeUInt32BE(12, 20)
  image.writeBigUInt64BE(65536n, 24)
  image.writeUInt32BE(1, 36)
  image.writeBigUInt64BE(BigInt(AT.l1), 40)
  image.writeBigUInt64BE(BigInt(AT.refcountTable), 48)
  image.writeUInt32BE(1, 56)
  image.writeUInt32BE(4, 96)
  image.writeUInt32BE(104, 100)
  image.writeBigUInt64BE(BigInt(AT.refcountBlock), AT.refcountTable)
  for (let cluster = 0; cluster < 8; cluster++) image.writeUInt16BE(1, AT.refcountBlock + 2 * cluster)
  image.writeBigUInt64BE(COPIED | BigInt(AT.l2), AT.l1)
  for (const [index, guest] of [0, 1, 5].entries()) {
    setL2(image, guest, COPIED | BigInt(AT.data + index * CLUSTER))
    image.fill(`data cluster ${index} `, AT.data + index * CLUSTER, AT.data + (index + 1) * CLUSTER)
  }
  return image
}

export const COPIED = 1n << 63n
export const COMPRESSED = 1n << 62n

export function setL2(image: Buffer, index: number, entry: bigint): void {
  image.writeBigUInt64BE(entry, AT.l2 + 8 * index)
}

/** An entry for a compressed cluster at `offset` that takes `sectors` more sectors than its first. */
export function compressedEntry(offset: number, sectors: number): bigint {
  return COMPRESSED | (BigInt(sectors) << 58n) | BigInt(offset)
}

/** `plainImage` whose guest cluster 0 is compressed: `stream` stands at the start of the first data cluster. */
export function compressedImage(stream: Uint8Array, sectors = Math.ceil(stream.length / 512) - 1): Buffer {
  const image = plainImage()
  image.fill(0, AT.data, AT.data + CLUSTER)
  image.set(stream.subarray(0, CLUSTER), AT.data)
  setL2(image, 0, compressedEntry(AT.data, sectors))
  return image
}

/** 16 KiB clusters, extended L2: entry 0 with the given bitmap. */
export function extendedImage(bitmap: bigint, offset = 5n * 16384n): Buffer {
  const size = 16384
  const image = Buffer.alloc(6 * size, 0x5a)
  image.fill(0, 0, 5 * size)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(14, 20)
  image.writeBigUInt64BE(BigInt(3 * size), 40)
  image.writeBigUInt64BE(BigInt(size), 48)
  image.writeBigUInt64BE(16n, 72)
  image.writeBigUInt64BE(BigInt(4 * size), 3 * size)
  image.writeBigUInt64BE(offset, 4 * size)
  image.writeBigUInt64BE(bitmap, 4 * size + 8)
  return image
}

export function deflated(bytes: number): Buffer {
  return deflateRawSync(Buffer.alloc(bytes, 'compress me '), { windowBits: 12 })
}

/** A file in memory that is read at will, and never past its end. */
export function sourceOf(file: Buffer): RangedSource {
  return {
    size: file.length,
    async readAt(offset, into) {
      if (offset < 0 || offset + into.length > file.length)
        throw new RangeError(`reads ${into.length} bytes at ${offset} of ${file.length}`)
      into.set(file.subarray(offset, offset + into.length))
    },
  }
}

export async function planned(file: Buffer, diskSize?: number): Promise<PlannedQcow2Decoder> {
  const map = await readQcow2Map(sourceOf(file), { budgetBytes: 64 << 20, diskSize })
  assert.ok(map, 'the map fits its budget')
  return new PlannedQcow2Decoder(map)
}

export interface Unplanned {
  spoolBytes?: number
  lookBehind?: number
  /** The length of the file is not told. */
  chunked?: boolean
  diskSize?: number
}

export function unplanned(file: Buffer, options: Unplanned = {}): UnplannedQcow2Decoder {
  const head = file.subarray(0, file.length >= 24 ? headerBytes(file) : file.length)
  const decoder: UnplannedQcow2Decoder = new UnplannedQcow2Decoder(head, {
    spoolBytes: options.spoolBytes ?? 64 << 20,
    store: null,
    fileSize: options.chunked ? undefined : file.length,
    ...(options.lookBehind === undefined ? {} : { lookBehind: options.lookBehind }),
    ...(options.diskSize === undefined ? {} : { diskSize: options.diskSize }),
    read(offset, length) {
      assert.ok(offset >= decoder.needsFrom, `reads ${offset}, held from ${decoder.needsFrom}`)
      return file.subarray(offset, offset + length)
    },
  })
  return decoder
}

/** Pushes the file in pieces and puts every extent where it belongs. Each byte of the disk must come once at most. */
export function drive(
  decoder: StreamDecoder & { clusterSize?: number },
  file: Buffer,
  pieces: number,
): Buffer {
  const disk = Buffer.alloc(decoder.virtualSize)
  let delivered = 0
  const put = (extent: Extent, bytes: Uint8Array) => {
    assert.ok(extent.disk + extent.size <= disk.length, 'inside the disk')
    assert.equal(bytes.length, extent.length)
    const into = disk.subarray(extent.disk, extent.disk + extent.size)
    if (extent.codec === 'copy') into.set(bytes)
    else decodeCluster(extent.codec, bytes, into, decoder.clusterSize)
    delivered += extent.size
  }
  const take = (work: DecodedWork, from: number, to: number) => {
    for (const extent of work.extents) {
      assert.ok(extent.source >= from && extent.source + extent.length <= to, 'inside what the caller holds')
      put(extent, file.subarray(extent.source, extent.source + extent.length))
    }
    for (const held of work.held) put(held.extent, held.take())
  }
  for (let at = 0; at < file.length; at += pieces) {
    const from = decoder.needsFrom
    const bytes = file.subarray(at, at + pieces)
    take(decoder.push(bytes, at), from, at + bytes.length)
    assert.ok(decoder.needsFrom >= from, 'what was given up is not asked for again')
  }
  const from = decoder.needsFrom
  take(decoder.finish(file.length), from, file.length)
  assert.ok(delivered <= disk.length, 'no byte of the disk came twice')
  return disk
}
