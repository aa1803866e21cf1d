import { blocksOf, readBlock } from './ext-blocks.ts'
import { type ExtEntry, readExtDirectory } from './ext-directory.ts'
import { type ExtVolume, openExt, readExtInode, ROOT_INODE } from './ext.ts'
import { type FatEntry, readFatDirectory } from './fat-directory.ts'
import { type FatVolume, openFat, readChain } from './fat.ts'
import { type Volume, VolumeFault } from './volume.ts'

/**
 * Directories and small files of a volume, for hints. Paths are relative, with slashes; links are not followed. What is broken
 * rejects with VolumeFault.
 */
export interface FileTree {
  /** Names in a directory; null where there is no such directory. */
  list(path: string): Promise<string[] | null>
  /** The first `most` bytes of a file; null where there is no such file. */
  read(path: string, most: number): Promise<Buffer | null>
}

export async function openExtTree(volume: Volume): Promise<FileTree> {
  return new ExtTree(await openExt(volume))
}

/** Names are compared without regard to case. */
export async function openFatTree(volume: Volume): Promise<FileTree> {
  return new FatTree(await openFat(volume))
}

const stepsOf = (path: string): string[] => path.split('/').filter((step) => step !== '')

class ExtTree implements FileTree {
  readonly #ext: ExtVolume

  constructor(ext: ExtVolume) {
    this.#ext = ext
  }

  async list(path: string): Promise<string[] | null> {
    const inode = await this.#find(stepsOf(path))
    return inode === null ? null : ((await this.#entries(inode))?.map(({ name }) => name) ?? null)
  }

  async read(path: string, most: number): Promise<Buffer | null> {
    const number = await this.#find(stepsOf(path))
    const inode = number === null ? null : await readExtInode(this.#ext, number)
    if (!inode?.isFile) return null
    const length = Math.min(inode.size, most)
    const parts: Buffer[] = []
    for await (const block of blocksOf(this.#ext, inode, Math.ceil(length / this.#ext.blockSize)))
      parts.push(await readBlock(this.#ext, block))
    return Buffer.concat(parts).subarray(0, length)
  }

  async #find(steps: string[]): Promise<number | null> {
    let inode = ROOT_INODE
    for (const step of steps) {
      const next = (await this.#entries(inode))?.find(({ name }) => name === step)
      if (!next) return null
      inode = next.inode
    }
    return inode
  }

  /** Null for what is no directory. */
  async #entries(number: number): Promise<ExtEntry[] | null> {
    const { isDirectory } = await readExtInode(this.#ext, number)
    return isDirectory ? await readExtDirectory(this.#ext, number) : null
  }
}

class FatTree implements FileTree {
  readonly #fat: FatVolume

  constructor(fat: FatVolume) {
    this.#fat = fat
  }

  async list(path: string): Promise<string[] | null> {
    const entry = await this.#find(stepsOf(path))
    if (!entry?.isDirectory) return null
    return (await this.#entries(entry)).map(({ name }) => name)
  }

  async read(path: string, most: number): Promise<Buffer | null> {
    const entry = await this.#find(stepsOf(path))
    if (!entry || entry.isDirectory) return null
    if (entry.size === 0) return Buffer.alloc(0)
    return await readChain(this.#fat, entry.cluster, 0, Math.min(entry.size, most))
  }

  async #find(steps: string[]): Promise<FatEntry | null> {
    let entry: FatEntry = { name: '', isDirectory: true, cluster: 0, size: 0 }
    for (const step of steps) {
      if (!entry.isDirectory) return null
      const next = (await this.#entries(entry)).find(({ name }) => name.toLowerCase() === step.toLowerCase())
      if (!next) return null
      entry = next
    }
    return entry
  }

  /** The root directory has no cluster of its own here. */
  #entries({ cluster, name }: FatEntry): Promise<FatEntry[]> {
    return name === '' ? readFatDirectory(this.#fat) : readFatDirectory(this.#fat, cluster)
  }
}

/** What `look` gives; null where the volume is not what it says. */
export async function unlessFault<T>(look: Promise<T>): Promise<T | null> {
  try {
    return await look
  } catch (error) {
    if (error instanceof VolumeFault) return null
    throw error
  }
}
