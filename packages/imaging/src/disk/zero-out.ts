import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Disk } from './disk.ts'

/** Bytes of one request: the kernel cannot be stopped within it. */
const PIECE = 16 * 1024 ** 3

/**
 * Makes the device's first `length` bytes read zero by a punched hole. On a device the kernel keeps its word on that, unlike
 * on a discard, and refuses where the device cannot do it by itself (`blkdiscard --zeroout` would send the zeros instead).
 * Returns false where that is so, or where `fallocate` (util-linux) is absent: then zeros must be written.
 * @throws {Error} the reason of `signal` when that aborts.
 */
export async function zeroOut(disk: Disk, length: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (!disk.facts.writesZeroes) return false
  for (let at = 0; at < length; at += PIECE) {
    signal?.throwIfAborted()
    if (!(await punchHole(disk, at, Math.min(PIECE, length - at)))) return false
  }
  signal?.throwIfAborted()
  return true
}

/** False for any reason: a device that is broken says so again when zeros are written to it. */
async function punchHole(disk: Disk, offset: number, length: number): Promise<boolean> {
  // Named by the descriptor, which cannot be renumbered.
  const range = ['--offset', String(offset), '--length', String(length)]
  const child = spawn('fallocate', ['--punch-hole', ...range, '--', '/proc/self/fd/3'], {
    stdio: ['ignore', 'ignore', 'ignore', disk.buffered.fd],
  })
  const [status] = (await once(child, 'close').catch(() => [null])) as [number | null]
  return status === 0
}
