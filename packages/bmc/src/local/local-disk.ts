import { mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from './durable-file.ts'

/**
 * Makes the disk file of a file-backed server: sparse, `size` bytes. A file that is there with this size is taken as it is.
 * Throws an Error with one sentence when it has another size or is no regular file; it is never truncated or grown.
 */
export async function createLocalDisk(path: string, size: number): Promise<void> {
  if (!(await isLocalDisk(path, size))) await create(path, size)
}

/** False when there is no such file. Throws an Error with one sentence when it cannot be a disk of `size` bytes. */
export async function isLocalDisk(path: string, size: number): Promise<boolean> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw new Error(`The disk file ${path} cannot be looked at (${error.code}).`)
  })
  if (found === null) return false
  if (!found.isFile()) throw new Error(`The disk ${path} is not a regular file.`)
  if (found.size !== size) {
    throw new Error(
      `The disk file ${path} exists and has ${found.size} bytes, not ${size}; give its size or another path.`,
    )
  }
  // Under its other name it could be the disk of another server, too.
  if (found.nlink > 1) throw new Error(`The disk file ${path} has other names (hard links); remove them.`)
  return true
}

async function create(path: string, size: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    const file = await open(path, 'wx', 0o600)
    try {
      await file.truncate(size)
      await file.sync()
    } finally {
      await file.close()
    }
    await syncDirectory(dirname(path))
  } catch (error) {
    throw new Error(`The disk file ${path} cannot be made (${(error as NodeJS.ErrnoException).code}).`, {
      cause: error,
    })
  }
}
