import type { BootAreas, BootAreasInput, ImageAreas, PartitionSummary } from './boot-areas.types.ts'
import { findConfigPartition, placeConfigDrive } from './config-partition.ts'
import { type Growth, growLast, growRemedy, growthNote, wipeGrownEnd } from './grow-partition.ts'
import {
  decodeMbrEntries,
  freeMbrSlots,
  isExtended,
  MBR_SIZE,
  type MbrEntry,
  putMbrEntry,
  setMbrLength,
} from './mbr.ts'
import type { MbrTable } from './read-mbr.ts'
import { configDriveError, tableError } from './table-error.ts'

/** Sectors that a 32-bit start can reach: 2 TiB in 512 byte sectors. */
const addressableSectors = 2 ** 32
/** "Linux": what first-boot programs read is the volume, not the type. */
const configDriveType = 0x83

/** The image's MBR on the disk: byte for byte, but for the config drive's entry and the length of a partition that grows. */
export async function planMbr(
  input: BootAreasInput,
  table: MbrTable,
  { head, tail }: ImageAreas,
  notes: string[],
): Promise<BootAreas> {
  const sectorZero = head.subarray(0, MBR_SIZE)
  const { configDrive, replaced } = await addConfigDrive(input, table, sectorZero)
  if (replaced !== undefined)
    notes.push(`Partition ${replaced} of the image was a config drive; it was replaced.`)
  const growth = input.growLastPartition ? grow(input, table, sectorZero, configDrive, replaced) : null
  if (input.growLastPartition) notes.push(growthNote(growth))
  return {
    head,
    tail,
    configDrive,
    wipe: growth && wipeGrownEnd(growth, tail, input.diskSize),
    table: {
      kind: 'mbr',
      partitions: summaries([...decodeMbrEntries(sectorZero), ...table.logical], input.sectorSize),
    },
    notes: [...notes, ...table.notes],
  }
}

/** Puts the config drive's entry into `sectorZero`: into the slot of the image's own config drive, else a free one. */
async function addConfigDrive(input: BootAreasInput, { primary, logical }: MbrTable, sectorZero: Uint8Array) {
  const { configDriveBytes, diskSize, sectorSize } = input
  if (configDriveBytes === 0) return { configDrive: null, replaced: undefined }
  const volumes = [...primary.filter((entry) => !isExtended(entry)), ...logical]
  const replaced = await findConfigPartition(input, summaries(volumes, sectorSize))
  const slot = replaced ?? freeMbrSlots(sectorZero)[0]
  if (slot === undefined || slot > 4) {
    throw configDriveError(
      slot === undefined
        ? "All four primary partitions of the image's MBR are in use."
        : `The image brings a config drive as logical partition ${slot}, which cannot be replaced.`,
      'Use an image with a GPT, remove a partition or deploy without a config drive.',
    )
  }
  const length = Math.ceil(configDriveBytes / sectorSize) * sectorSize
  const offset = placeConfigDrive(
    diskSize,
    length,
    summaries(primary, sectorSize)
      .filter((partition) => partition.number !== replaced)
      .map((partition) => ({ ...partition, name: `partition ${partition.number}` })),
  )
  const [startLba, sectors] = [offset / sectorSize, length / sectorSize]
  if (startLba + sectors > addressableSectors) {
    throw configDriveError(
      `The end of the disk is beyond ${addressableSectors} sectors, which an MBR cannot address.`,
      'Use an image with a GPT or deploy without a config drive.',
    )
  }
  putMbrEntry(sectorZero, { number: slot, bootFlag: 0, type: configDriveType, startLba, sectors })
  return { configDrive: { offset, length }, replaced }
}

/**
 * Gives the last partition's entry its new length. Logical partitions do not grow: their lengths stand in the middle of the
 * disk, outside of what is written last.
 */
function grow(
  { diskSize, sectorSize }: BootAreasInput,
  { primary }: MbrTable,
  sectorZero: Uint8Array,
  configDrive: BootAreas['configDrive'],
  replaced: number | undefined,
): Growth | null {
  const growth = growLast(
    summaries(primary, sectorSize).filter(({ number }) => number !== replaced),
    [diskSize, addressableSectors * sectorSize, ...(configDrive ? [configDrive.offset] : [])],
  )
  if (!growth) return null
  const { number } = growth.partition
  if (primary.some((entry) => entry.number === number && isExtended(entry))) {
    throw tableError(
      `Partition ${number}, the last one of the image, is an extended partition and cannot grow.`,
      growRemedy,
    )
  }
  setMbrLength(sectorZero, number, growth.length / sectorSize)
  return growth
}

const summaries = (entries: MbrEntry[], sectorSize: number): PartitionSummary[] =>
  entries.map(({ number, type, startLba, sectors }) => ({
    number,
    offset: startLba * sectorSize,
    length: sectors * sectorSize,
    type: type.toString(16).padStart(2, '0'),
    name: '',
  }))
