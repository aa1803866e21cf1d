import { BOOT_AREA, type PartitionSummary } from './boot-areas.types.ts'
import type { ImageReader } from './image-reader.ts'
import { configDriveError } from './table-error.ts'
import { volumeLabel } from './volume-label.ts'

/** Label by which cloud-init and cloudbase-init know a config drive. */
export const configLabel = 'config-2'

const isConfigName = (name: string | undefined): boolean => name?.toLowerCase() === configLabel

/** Number of the partition that the image brings as a config drive, by partition name or volume label; at most one. */
export async function findConfigPartition(
  image: ImageReader,
  partitions: PartitionSummary[],
): Promise<number | undefined> {
  const found: number[] = []
  for (const partition of partitions) {
    if (isConfigName(partition.name) || isConfigName(await volumeLabel(image, partition.offset))) {
      found.push(partition.number)
    }
  }
  if (found.length > 1) {
    throw configDriveError(
      `The image has ${found.length} config drives already (partitions ${found.join(', ')}).`,
      'Remove the partitions named or labelled config-2 from the image.',
    )
  }
  return found[0]
}

/**
 * Offset in bytes for a partition of `length` bytes at the end of the disk, before the boot area there, on a MiB.
 *
 * @param occupied partitions that stay, and anything else that must not be overwritten
 * @throws ImagingError CFG when it would overlap
 */
export function placeConfigDrive(
  diskSize: number,
  length: number,
  occupied: { offset: number; length: number; name: string }[],
): number {
  const offset = Math.floor((diskSize - BOOT_AREA - length) / BOOT_AREA) * BOOT_AREA
  if (offset < BOOT_AREA) {
    throw configDriveError(
      `The disk of ${diskSize} bytes has no room for a config drive of ${length} bytes.`,
      'Use a larger disk or deploy without a config drive.',
    )
  }
  const other = occupied.find(
    (range) => range.offset < offset + length && range.offset + range.length > offset,
  )
  if (other) {
    throw configDriveError(
      `The end of the disk, where the config drive of ${length} bytes goes, belongs to ${other.name}.`,
      'Use a larger disk, make the image smaller or deploy without a config drive.',
    )
  }
  return offset
}
