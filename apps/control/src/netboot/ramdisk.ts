import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BadParameter, type BuiltFile, checkShape, RamdiskManifest } from '@byoi/contract'

/** What `byoi ramdisk build` made. */
export interface Ramdisk {
  directory: string
  manifest: RamdiskManifest
}

/** Boot programs for firmware that has none of its own, in the directory `ipxe`. */
export const ipxePrograms = ['undionly.kpxe', 'snponly.efi', 'ipxe.efi'] as const

/** There is no ramdisk that servers could boot, or it is not whole. One sentence, and what to do. */
export class NoRamdisk extends Error {
  readonly remedy: string

  constructor(directory: string, what: string, cause?: unknown) {
    super(`The directory ${directory} holds no ramdisk for servers: ${what}.`, { cause })
    this.name = 'NoRamdisk'
    this.remedy = `Run byoi ramdisk build --out ${directory} on the control plane's machine.`
  }
}

/** Reads the description of the ramdisk as it is now: it may be built anew while the control plane runs. Throws `NoRamdisk`. */
export async function readRamdisk(directory: string): Promise<Ramdisk> {
  const path = join(directory, 'manifest.json')
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new NoRamdisk(directory, `manifest.json cannot be read (${cause.code})`, cause)
  })
  try {
    return { directory, manifest: checkShape(RamdiskManifest, JSON.parse(text), 'manifest.json') }
  } catch (cause) {
    const why = cause instanceof BadParameter ? cause.message : 'it is no JSON'
    throw new NoRamdisk(directory, `manifest.json is not of this release (${why})`, cause)
  }
}

export interface OpenFile {
  file: FileHandle
  /** Bytes. */
  size: number
  modified: Date
}

/** One of the files that the manifest describes. Throws `NoRamdisk` when it is not the one that is described. */
export async function openBuilt({ directory }: Ramdisk, { name, size }: BuiltFile): Promise<OpenFile> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw new NoRamdisk(directory, 'a file has an odd name')
  const opened = await openFile(directory, name)
  if (opened.size === size) return opened
  await opened.file.close()
  throw new NoRamdisk(directory, `${name} has not the size that the manifest says`)
}

export async function openIpxe(directory: string, name: (typeof ipxePrograms)[number]): Promise<OpenFile> {
  return await openFile(directory, join('ipxe', name))
}

async function openFile(directory: string, name: string): Promise<OpenFile> {
  const file = await open(join(directory, name)).catch((cause: NodeJS.ErrnoException) => {
    throw new NoRamdisk(directory, `${name} cannot be read (${cause.code})`, cause)
  })
  try {
    const { size, mtime } = await file.stat()
    return { file, size, modified: mtime }
  } catch (error) {
    await file.close()
    throw error
  }
}
