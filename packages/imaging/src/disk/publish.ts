import { ImagingError, type ImagingCode } from '../error.ts'
import { BOOT_AREA } from '../table/boot-areas.types.ts'
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
    throw ioFailure(code, doing, error)
  }
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).equals(found)) {
    throw new ImagingError(code, {
      cause: `The disk returns other data than was written at byte ${offset}.`,
      remedy: 'Replace the disk, or check its cabling and controller.',
    })
  }
}

/** Makes the disk bootable: the tail first, so that there is a first MiB only when everything else is there. */
export async function publish(disk: Disk, head: Uint8Array, tail: Uint8Array): Promise<void> {
  await writeVerified(disk, disk.size - BOOT_AREA, tail, 'WRITE', 'writing the last MiB of')
  await writeVerified(disk, 0, head, 'WRITE', 'writing the first MiB of')
}
