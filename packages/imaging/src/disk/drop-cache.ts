import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Disk } from './disk.ts'

/**
 * Before reading back through the page cache: makes the kernel forget what it holds of the disk, so that the medium is
 * read. Only for file systems without O_DIRECT. Returns false where that could not be done (`dd` of coreutils is absent).
 */
export async function dropCache(disk: Disk): Promise<boolean> {
  const args = ['if=/proc/self/fd/3', 'iflag=nocache', 'count=0', 'status=none']
  const child = spawn('dd', args, { stdio: ['ignore', 'ignore', 'ignore', disk.buffered.fd] })
  try {
    const [status] = (await once(child, 'close')) as [number | null]
    return status === 0
  } catch {
    return false
  }
}
