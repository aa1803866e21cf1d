import { constants, zstdCompressSync } from 'node:zlib'
import { newcArchive } from '@byoi/contract'
import type { Tree } from './tree.ts'

/** Levels of zstd. The best costs half a minute of one core; the quick one is for tests and makes the file a quarter larger. */
const levels = { best: 19, quick: 3 }

/** The tree as the kernel unpacks it: a newc archive, packed by zstd. Its length is a multiple of four, so that another one may follow. */
export function packInitrd(tree: Tree, effort: keyof typeof levels): Buffer {
  const archive = Buffer.concat([...newcArchive(tree.entries())])
  const packed = zstdCompressSync(archive, {
    params: {
      [constants.ZSTD_c_compressionLevel]: levels[effort],
      // Any number of threads but none gives the same bytes.
      [constants.ZSTD_c_nbWorkers]: 2,
    },
    pledgedSrcSize: archive.length,
  })
  return Buffer.concat([packed], packed.length + (-packed.length & 3))
}
