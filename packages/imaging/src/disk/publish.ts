import { ImagingError, type ImagingCode } from '../error.ts'
import { BOOT_AREA, type ImageAreas } from '../table/boot-areas.types.ts'
import type { Disk } from './disk.ts'
import { ioFailure } from './io-failure.ts'

/**
 * Writes `bytes` at `offset`, flushes and reads back.
 * @throws ImagingError with `code` where the disk fails or returns something else. `doing` as for ioFailure.
 */
export async function writeVerified(
  disk: Disk,
  offset: number,
  bytes: Uint8Array,
  code: ImagingCode,
  doing: string,
): Promise<void> {
  let found: Uint8Array
  try {
    await disk.write(offset, bytes)
    await disk.flush()
    found = await disk.read(offset, bytes.length)
  } catch (error) {
    throw ioFailure(code, doing, disk.facts.path, error)
  }
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).equals(found)) {
    throw new ImagingError(code, {
      cause: `The disk ${disk.facts.path} returns other data than was written at byte ${offset}.`,
      remedy: 'Replace the disk, or check its cabling and controller.',
    })
  }
}

/**
 * Makes the disks bootable: the tails of all of them first, so that there is a first MiB only when everything else is there.
 * Throws ImagingError WRITE at the first failure; then some may be bootable.
 */
export async function publish(planned: ({ disk: Disk } & ImageAreas)[]): Promise<void> {
  for (const { disk, tail } of planned)
    await writeVerified(disk, disk.size - BOOT_AREA, tail, 'WRITE', 'writing the last MiB of')
  for (const { disk, head } of planned)
    await writeVerified(disk, 0, head, 'WRITE', 'writing the first MiB of')
}
