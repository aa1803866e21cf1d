import { readFile, realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { DeployOrder, DiskFacts } from '@byoi/contract'

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

/** By Linux's sysfs (Documentation/ABI/stable/sysfs-block): `size` counts 512 bytes whatever the sectors are. */
async function blockDevice(given: GivenDisk): Promise<DiskFacts> {
  const name = basename(await realpath(given.path))
  const attribute = async (path: string): Promise<string | null> => {
    const text = await readFile(`/sys/class/block/${name}/${path}`, 'utf8').catch(() => '')
    return text.trim() === '' ? null : text.trim()
  }
  const sectorSize = Number(await attribute('queue/logical_block_size'))
  if (sectorSize !== 512 && sectorSize !== 4096)
    throw new Error(`${given.path} has sectors of ${sectorSize} bytes; byoi knows 512 and 4096.`)
  const rotational = await attribute('queue/rotational')
  return {
    path: given.path,
    serial: given.serial ?? (await attribute('device/serial')) ?? (await attribute('serial')) ?? '',
    wwn: (await attribute('wwid')) ?? (await attribute('device/wwid')),
    size: Number(await attribute('size')) * 512,
    sectorSize,
    rotational: rotational === null ? null : rotational === '1',
    transport: transportOf(name),
  }
}

function transportOf(name: string): string {
  const kinds = { nvme: 'nvme', vd: 'virtio', sd: 'scsi', loop: 'loop', nbd: 'nbd' }
  return Object.entries(kinds).find(([prefix]) => name.startsWith(prefix))?.[1] ?? 'unknown'
}

/** The disk that the order means, by what it is; undefined when no disk, or more than one, answers to it. */
export function matchDisk(disks: DiskFacts[], wanted: DeployOrder['disk']): DiskFacts | undefined {
  const matching = disks.filter(
    (disk) =>
      disk.serial === wanted.serial &&
      disk.size === wanted.size &&
      (wanted.wwn === null || disk.wwn === wanted.wwn),
  )
  return matching.length === 1 ? matching[0] : undefined
}
