import type { BootAreasInput } from '../table/boot-areas.types.ts'

/** A raw image of any size of which only a few stretches are not zero, and the disk that it goes to. */
export interface SparseImage extends Omit<BootAreasInput, 'read'> {
  parts: { offset: number; bytes: Buffer }[]
}

const HEAD = 24

/** As a file: sizes of image and disk (8 bytes each), sector size, config drive, then offset, length and bytes of each part. */
export function encodeSparse({
  imageSize,
  diskSize,
  sectorSize,
  configDriveBytes,
  parts,
}: SparseImage): Buffer {
  const head = Buffer.alloc(HEAD)
  head.writeBigUInt64LE(BigInt(imageSize), 0)
  head.writeBigUInt64LE(BigInt(diskSize), 8)
  head.writeUInt32LE(sectorSize, 16)
  head.writeUInt32LE(configDriveBytes, 20)
  const encoded = parts.flatMap(({ offset, bytes }) => {
    const place = Buffer.alloc(12)
    place.writeBigUInt64LE(BigInt(offset), 0)
    place.writeUInt32LE(bytes.length, 8)
    return [place, bytes]
  })
  return Buffer.concat([head, ...encoded])
}

export function decodeSparse(file: Buffer): SparseImage {
  const parts: SparseImage['parts'] = []
  for (let at = HEAD; at < file.length; ) {
    const length = file.readUInt32LE(at + 8)
    parts.push({ offset: Number(file.readBigUInt64LE(at)), bytes: file.subarray(at + 12, at + 12 + length) })
    at += 12 + length
  }
  return {
    imageSize: Number(file.readBigUInt64LE(0)),
    diskSize: Number(file.readBigUInt64LE(8)),
    sectorSize: file.readUInt32LE(16) === 4096 ? 4096 : 512,
    configDriveBytes: file.readUInt32LE(20),
    parts,
  }
}

/** Later parts cover earlier ones. A read past the end of the image is a RangeError, as callers must not do that. */
export function readerOf(image: SparseImage): BootAreasInput['read'] {
  return (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > image.imageSize)
      return Promise.reject(new RangeError(`reads ${length} bytes at ${offset} of ${image.imageSize}`))
    const result = new Uint8Array(length)
    for (const part of image.parts) {
      const from = Math.max(part.offset, offset)
      const to = Math.min(part.offset + part.bytes.length, offset + length)
      if (from < to) result.set(part.bytes.subarray(from - part.offset, to - part.offset), from - offset)
    }
    return Promise.resolve(result)
  }
}
