import { writeSync } from 'node:fs'
import { ioFailure } from '../disk/io-failure.ts'
import type { Channel } from './jobs.ts'

/** Writes all of `bytes` at `offset` before it returns. `doing`: as `ioFailure` takes it. Throws ImagingError WRITE. */
export function writeFully({ fd, path }: Channel, bytes: Buffer, offset: number, doing = 'writing'): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, offset + at)
  } catch (error) {
    throw ioFailure('WRITE', doing, path, error)
  }
}
