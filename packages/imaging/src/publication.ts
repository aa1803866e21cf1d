import type { DeployOptions } from './deploy-image.types.ts'
import type { Disk } from './disk/disk.ts'
import { ioFailure } from './disk/io-failure.ts'
import { writeVerified } from './disk/publish.ts'
import { ImagingError } from './error.ts'
import type { Staging } from './pipeline/staging.ts'
import { BOOT_AREA, type BootAreas } from './table/boot-areas.types.ts'
import { type ImageReader, readPadded } from './table/image-reader.ts'
import { planBootAreas } from './table/plan-boot-areas.ts'

/** What a disk still needs once it has the image. */
export type DiskPlan = { disk: Disk } & Pick<BootAreas, 'head' | 'tail' | 'configDrive' | 'wipe' | 'notes'>

/**
 * The boot areas as they must be on each disk, by its own size: partition table moved to its end, entry for the config drive
 * added. Disks of one size get the same bytes.
 * @throws ImagingError as planBootAreas
 */
export async function planDisks(
  staging: Staging,
  { dataDisk, growLastPartition = false }: DeployOptions,
  configDrive: Uint8Array | null,
): Promise<DiskPlan[]> {
  const { disks, first } = staging.targets
  const image = readerOf(staging)
  const planFor = async (diskSize: number): Promise<Omit<DiskPlan, 'disk'>> => {
    const configDriveBytes = configDrive?.length ?? 0
    if (!dataDisk) return await planBootAreas({ ...image, diskSize, configDriveBytes, growLastPartition })
    const head = await readPadded(image, 0, BOOT_AREA)
    const tail = await readPadded(image, diskSize - BOOT_AREA, BOOT_AREA)
    return { head, tail, configDrive: null, wipe: null, notes: [] }
  }
  try {
    const plans = new Map<number, Omit<DiskPlan, 'disk'>>()
    for (const { size } of disks) if (!plans.has(size)) plans.set(size, await planFor(size))
    return disks.map((disk) => ({ disk, ...(plans.get(disk.size) as Omit<DiskPlan, 'disk'>) }))
  } catch (error) {
    if (error instanceof ImagingError) throw error
    throw ioFailure('GPT', 'reading the partition table of', first.facts.path, error)
  }
}

/** The image as it will be on the disks. */
export function readerOf(staging: Staging): ImageReader {
  return {
    imageSize: staging.imageSize,
    sectorSize: staging.targets.sectorSize,
    read: (offset, length) => staging.read(offset, length),
  }
}

/** Writes everything but the boot areas. Throws ImagingError WRITE or CFG. */
export async function prepareDisk(
  { disk, configDrive: place, wipe }: DiskPlan,
  staging: Staging,
  configDrive: Uint8Array | null,
): Promise<void> {
  await writeImageEnd(disk, staging)
  if (wipe)
    await writeVerified(
      disk,
      wipe.offset,
      Buffer.alloc(wipe.length),
      'WRITE',
      'zeroing the end of a grown partition on',
    )
  if (place && configDrive)
    await writeVerified(disk, place.offset, configDrive, 'CFG', 'writing the config drive to')
}

/** What is in the last MiB of the smallest disk, and so was withheld, is in the middle of a larger one. */
async function writeImageEnd(disk: Disk, { targets, withheld }: Staging): Promise<void> {
  const from = targets.size - BOOT_AREA
  const length = Math.min(targets.size, disk.size - BOOT_AREA) - from
  if (length > 0)
    await writeVerified(disk, from, Buffer.from(withheld.tail, 0, length), 'WRITE', 'writing the image to')
}
