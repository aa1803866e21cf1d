/** The decoded image as the partition code sees it: `BootAreasInput` without the disk. Bytes. */
export interface ImageReader {
  imageSize: number
  sectorSize: 512 | 4096
  read(offset: number, length: number): Promise<Uint8Array>
}

/** The content is there, but cannot be looked at yet: a reader over a stream rejects with it. */
export class Unseen extends Error {}

/** What `look` gives, or undefined where it met content that cannot be looked at yet. */
export async function unlessUnseen<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look
  } catch (error) {
    if (error instanceof Unseen) return undefined
    throw error
  }
}

/** `length` bytes at `offset`; what lies past the end of the image is zero. */
export async function readPadded(image: ImageReader, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const there = Math.min(length, image.imageSize - offset)
  if (there > 0) bytes.set(await image.read(offset, there))
  return bytes
}

/** Sectors of the image; a last one that is not whole counts. */
export const imageSectors = (image: ImageReader): number => Math.ceil(image.imageSize / image.sectorSize)
