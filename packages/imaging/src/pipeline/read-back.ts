import { readSync } from 'node:fs'
import { ioFailure } from '../disk/io-failure.ts'
import { ImagingError } from '../error.ts'
import { linearCrc, shiftCrc } from './crc.ts'
import type { Channel } from './jobs.ts'
import { REGION, type WrittenMap } from './written-map.ts'

/**
 * Reads the written blocks of regions `from` to before `to` and compares them with what was written there.
 *
 * `into` is page-aligned and at least a region long. Returns the bytes read.
 * @throws ImagingError WRITE where a region differs or a read fails.
 */
export function readBack(
  channel: Channel,
  written: WrittenMap,
  from: number,
  to: number,
  diskSize: number,
  into: Buffer,
): number {
  let bytes = 0
  for (let region = from; region < to; region++) {
    if (written.isUntouched(region)) continue
    let crc = 0
    for (const { offset, length } of written.runs(region, true, diskSize)) {
      readFully(channel, into, offset, length)
      const after = (region + 1) * REGION - offset - length
      crc ^= shiftCrc(linearCrc(into.subarray(0, length)), after)
      bytes += length
    }
    if (crc >>> 0 !== written.checksum(region)) throw differs(channel.path, region)
  }
  return bytes
}

/** Whole alignments are asked for; a file may end inside the last one. */
function readFully(channel: Channel, into: Buffer, offset: number, length: number): void {
  const asked = Math.ceil(length / channel.alignment) * channel.alignment
  for (let at = 0; at < length; ) {
    const read = readOnce(channel, into, at, asked - at, offset + at)
    if (read === 0) throw endsEarly(channel.path, offset + at)
    at += read
  }
}

function readOnce({ fd, path }: Channel, into: Buffer, at: number, length: number, offset: number): number {
  try {
    return readSync(fd, into, at, length, offset)
  } catch (error) {
    throw ioFailure('WRITE', 'reading back', path, error)
  }
}

function differs(path: string, region: number): ImagingError {
  return new ImagingError('WRITE', {
    cause: `The disk ${path} returns other data than was written, between byte ${region * REGION} and byte ${(region + 1) * REGION}.`,
    remedy: 'Replace the disk, or check its cabling and controller.',
  })
}

function endsEarly(path: string, offset: number): ImagingError {
  return new ImagingError('WRITE', {
    cause: `The disk ${path} ended at byte ${offset} while what was written there was read back.`,
    remedy: 'Check that the disk has the size that it reports, and that nothing else changes it.',
  })
}
