import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { ImagingError } from '../error.ts'
import type { Disk } from './disk.ts'

/**
 * Makes the device's first `length` bytes read zero by BLKZEROOUT, which the kernel keeps its word on, unlike a discard.
 * Returns false, with nothing changed, where the device cannot do that by itself or `blkdiscard` (util-linux) is absent:
 * then zeros must be written.
 * @throws ImagingError WRITE where the device fails; CANCELLED when `signal` aborts.
 */
export async function zeroOut(disk: Disk, length: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (!disk.facts.writesZeroes) return false
  // The device is held exclusively by this process, so --force; it is named by its descriptor, which cannot be renumbered.
  const args = ['--zeroout', '--force', '--offset', '0', '--length', String(length), '--', '/proc/self/fd/3']
  const child = spawn('blkdiscard', args, { stdio: ['ignore', 'ignore', 'pipe', disk.buffered.fd] })
  const stop = () => child.kill()
  signal?.addEventListener('abort', stop)
  try {
    const said = child.stderr ? text(child.stderr) : Promise.resolve('')
    const [status] = (await once(child, 'close')) as [number | null]
    signal?.throwIfAborted()
    if (status !== 0) throw zeroOutFailed((await said).trim())
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

function zeroOutFailed(said: string): ImagingError {
  return new ImagingError('WRITE', {
    cause: `The disk failed to zero its old content (${said.replace(/^.*fd\/3: /, '')}).`,
    remedy: 'Check the disk, its cabling and the kernel log, then try again or use another disk.',
  })
}
