import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { runTool } from '../../table/testing/run-tool.ts'
import { PieceReader } from '../piece-reader.ts'
import { Volume } from '../volume.ts'

/** Paths, with slashes, and their bytes. */
export type Tree = Record<string, Uint8Array>

export interface FatShape {
  bits: 12 | 16 | 32
  sectorSize: 512 | 4096
  /** Sectors of a cluster. */
  clusterSectors: number
  /** Bytes. */
  size: number
}

/** Makes what `make` writes to a file of `size` bytes in a directory of its own, and gives the file's bytes. */
export function inScratch(size: number, make: (image: string, directory: string) => void): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'byoi-volume-'))
  const image = join(directory, 'image')
  try {
    writeFileSync(image, '')
    truncateSync(image, size)
    make(image, directory)
    return readFileSync(image)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Writes the files of a tree below `directory`. */
export function writeTree(directory: string, tree: Tree): void {
  for (const [path, bytes] of Object.entries(tree)) {
    const target = join(directory, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, bytes)
  }
}

/** Makes an empty FAT volume in a file. */
export function formatFat(image: string, { bits, sectorSize, clusterSectors }: FatShape): void {
  const shape = ['-F', String(bits), '-S', String(sectorSize), '-s', String(clusterSectors)]
  runTool('mkfs.vfat', [...shape, '-n', 'VOLUME', image])
}

/** A FAT volume with the files of a tree, made by mkfs.vfat and mtools. */
export function fatWith(tree: Tree, shape: FatShape = smallFat): Buffer {
  return inScratch(shape.size, (image, directory) => {
    formatFat(image, shape)
    const files = join(directory, 'tree')
    mkdirSync(files)
    writeTree(files, tree)
    const tops = [...new Set(Object.keys(tree).map((path) => join(files, path.split('/')[0] ?? '')))]
    if (tops.length > 0) runTool('mcopy', ['-s', '-i', image, ...tops, '::'])
  })
}

export const smallFat: FatShape = { bits: 12, sectorSize: 512, clusterSectors: 1, size: 512 * 1024 }

/** An ext volume with the files of a tree, made by mke2fs with more `args`. */
export function extWith(tree: Tree, args: string[], size = 4 * 1024 * 1024): Buffer {
  return inScratch(size, (image, directory) => {
    const files = join(directory, 'tree')
    mkdirSync(files)
    writeTree(files, tree)
    runTool('mke2fs', ['-q', '-F', ...args, '-d', files, image])
  })
}

/** The volume that fills these bytes. */
export function volumeOf(bytes: Uint8Array): Volume {
  const image = {
    imageSize: bytes.length,
    sectorSize: 512 as const,
    read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
  }
  return new Volume(new PieceReader(image), 0, bytes.length)
}
