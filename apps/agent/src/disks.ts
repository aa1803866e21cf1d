import { realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { DiskFacts } from '@byoi/contract'
import { readSysfsDisk } from './sysfs-disk.ts'

export interface GivenDisk {
  path: string
  /** Instead of what the device says; a regular file has none of its own. */
  serial?: string
  /** Regular files only; a device tells its own. */
  sectorSize?: 512 | 4096
}

/**
 * The server's disks: the given file or block device, nothing when it is not there. Throws an Error with one sentence
 * when it is neither, or has sectors of another size than 512 or 4096 bytes.
 */
export async function findDisks(given: GivenDisk): Promise<DiskFacts[]> {
  const found = await stat(given.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (found === null) return []
  if (found.isBlockDevice()) return [await blockDevice(given)]
  if (!found.isFile()) throw new Error(`${given.path} is neither a file nor a block device.`)
  return [
    {
      path: given.path,
      serial: given.serial ?? '',
      wwn: null,
      size: found.size,
      sectorSize: given.sectorSize ?? 512,
      rotational: null,
      transport: 'file',
    },
  ]
}

async function blockDevice(given: GivenDisk): Promise<DiskFacts> {
  const found = await readSysfsDisk('/sys', basename(await realpath(given.path)))
  const { serial, wwn, size, sectorSize, rotational, transport } = found
  if (!isSectorSize(sectorSize))
    throw new Error(`${given.path} has sectors of ${sectorSize} bytes; byoi knows 512 and 4096.`)
  return { path: given.path, serial: given.serial ?? serial, wwn, size, sectorSize, rotational, transport }
}

export const isSectorSize = (bytes: number): bytes is 512 | 4096 => bytes === 512 || bytes === 4096
