import { BOOT_AREA } from '../table/boot-areas.types.ts'
import { type ImageReader, Unseen, unlessUnseen } from '../table/image-reader.ts'

/** What all looks at one image may read of its content, in bytes: a sound one needs a few MiB. */
const MOST = 64 * 1024 * 1024

/**
 * The image for looks that read the same places again: its first MiB is read once. What comes after the first 64 MiB that were read
 * rejects with Unseen, so that no image makes anybody read all of it.
 */
export function lookReader(image: ImageReader): ImageReader {
  let left = MOST
  let head: Promise<Uint8Array | undefined> | null = null
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    left -= length
    if (left < 0) return Promise.reject(new Unseen(`more than ${MOST} bytes would have to be looked at`))
    return image.read(offset, length)
  }
  return {
    ...image,
    async read(offset, length) {
      if (offset + length > BOOT_AREA) return await read(offset, length)
      head ??= unlessUnseen(read(0, Math.min(BOOT_AREA, image.imageSize)))
      const bytes = await head
      return bytes ? bytes.subarray(offset, offset + length) : await read(offset, length)
    },
  }
}
