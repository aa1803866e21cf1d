import { ImagingError } from '../error.ts'
import { BOOT_AREA, type BootAreas, type BootAreasInput, type ImageAreas } from './boot-areas.types.ts'
import { growRemedy } from './grow-partition.ts'
import { readPadded } from './image-reader.ts'
import { planGpt } from './plan-gpt.ts'
import { planMbr } from './plan-mbr.ts'
import { readTable } from './read-table.ts'
import { configDriveError, tableError } from './table-error.ts'

/**
 * Works out the first and the last MiB of the disk, and the place of the config drive, before anything is written. The last
 * MiB is image data that reaches there, else zero, with the backup GPT at its end: a GPT that an earlier owner left at the
 * end of the disk cannot survive. A partition grows in the table only: its file system is the image's own affair.
 *
 * @throws ImagingError GPT (the partition table cannot be used on this disk), CFG (no place for the config drive), DISK (the
 * disk is too small or not made of whole sectors)
 */
export async function planBootAreas(input: BootAreasInput): Promise<BootAreas> {
  checkDisk(input)
  const table = await readTable(input, input.diskSize)
  const draft: ImageAreas = {
    head: await readPadded(input, 0, BOOT_AREA),
    tail: await readPadded(input, input.diskSize - BOOT_AREA, BOOT_AREA),
  }
  const notes = oddTail(input)
  if (table.kind === 'gpt') return await planGpt(input, table, draft, notes)
  if (table.kind === 'mbr') return await planMbr(input, table, draft, notes)
  if (input.configDriveBytes > 0) {
    throw configDriveError(
      'The image has no partition table to which a config drive could be added.',
      'Use an image with a GPT or MBR partition table or deploy without a config drive.',
    )
  }
  if (input.growLastPartition)
    throw tableError('The image has no partition table, so no partition of it can grow.', growRemedy)
  return {
    ...draft,
    configDrive: null,
    wipe: null,
    table: { kind: 'none', partitions: [] },
    notes: [...notes, ...table.notes, 'The image has no partition table, so nothing was moved or added.'],
  }
}

const refuse = (cause: string, remedy: string): never => {
  throw new ImagingError('DISK', { cause, remedy })
}

function checkDisk({ imageSize, diskSize, sectorSize }: BootAreasInput): void {
  if (diskSize % sectorSize !== 0) {
    refuse(`The disk's ${diskSize} bytes are not whole sectors of ${sectorSize} bytes.`, 'Use another disk.')
  }
  if (diskSize < 2 * BOOT_AREA) {
    refuse(`The disk has ${diskSize} bytes, less than its two boot areas of 1 MiB.`, 'Use a larger disk.')
  }
  if (imageSize > diskSize) {
    refuse(
      `The image has ${imageSize} bytes, the disk only ${diskSize}.`,
      'Use a smaller image or a larger disk.',
    )
  }
}

const oddTail = ({ imageSize, sectorSize }: BootAreasInput): string[] =>
  imageSize % sectorSize === 0
    ? []
    : [`The image does not end on a sector of ${sectorSize} bytes; its last sector was filled with zeros.`]
