import type { Packing, Unpack } from './packing.ts'
import { unpackInThread } from './unpack-in-thread.ts'
import { unpackGzip, unpackZstd } from './unpack-zlib.ts'

/** How each packing is undone, without holding up the event loop. */
export const unpackers: Record<Packing, Unpack> = {
  gzip: unpackGzip,
  zstd: unpackZstd,
  xz: (packed, ramBytes) => unpackInThread('xz', packed, ramBytes),
  bzip2: (packed, ramBytes) => unpackInThread('bzip2', packed, ramBytes),
}
