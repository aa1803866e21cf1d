import { detectFormat, type Format } from '../decode/magic.ts'
import { ImagingError } from '../error.ts'

/** How a file may be packed around an image. */
export type Packing = Extract<Format, 'gzip' | 'xz' | 'zstd' | 'bzip2'>

/**
 * Gives what is packed in `packed`, all of which it reads; each piece of that may be overwritten once the next one is asked for.
 * Throws ImagingError as soon as it is found damaged, cut off, or followed by something else. `ramBytes` bounds the memory that
 * the file may ask for.
 */
export type Unpack = (packed: AsyncIterable<Uint8Array>, ramBytes: number) => AsyncGenerator<Uint8Array>

/** First bytes of a file that `packingOf` looks at: up to the end of bzip2's block magic. */
export const PACKING_BYTES = 10

const PACKINGS: readonly Format[] = ['gzip', 'xz', 'zstd', 'bzip2'] satisfies Packing[]

/** By its first bytes; null: not packed in a way that byoi unpacks. */
export function packingOf(head: Uint8Array): Packing | null {
  const format = detectFormat(head)
  return PACKINGS.includes(format) ? (format as Packing) : null
}

export function damaged(packing: Packing, origin?: unknown): ImagingError {
  return broken(packing, 'is damaged, or something else stands behind it', origin)
}

export function cutOff(packing: Packing, origin?: unknown): ImagingError {
  return broken(packing, 'is cut off', origin)
}

/** `need` is what the file asks for, as in "a window of 128 MiB". */
export function needsMemory(packing: Packing, need: string, remedy: string): ImagingError {
  return new ImagingError('RAM', {
    cause: `The ${packing} file around the image needs ${need}, more than the memory that is allowed for it.`,
    remedy,
  })
}

/** Sound, but made in a way that byoi does not unpack. */
export function unsupported(packing: Packing, what: string, remedy: string): ImagingError {
  return new ImagingError('FORMAT', {
    cause: `The ${packing} file around the image uses ${what}, which byoi does not unpack.`,
    remedy,
  })
}

function broken(packing: Packing, how: string, origin: unknown): ImagingError {
  return new ImagingError('WRITE', {
    cause: `The ${packing} file around the image ${how}.`,
    remedy: `Check it with ${packing} -t and by its checksum, and upload it again.`,
    ...(origin === undefined ? {} : { origin }),
  })
}
