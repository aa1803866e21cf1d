import { crc32 } from 'node:zlib'
import {
  BOOT_AREA,
  type BootAreas,
  type BootAreasInput,
  type ImageAreas,
  type PartitionSummary,
} from './boot-areas.types.ts'
import { configLabel, findConfigPartition, placeConfigDrive } from './config-partition.ts'
import { arraySectors, decodeGptEntries, encodeGptEntry, encodeGptHeader, setEndLba } from './gpt.ts'
import type { GptEntry, GptHeader } from './gpt.ts'
import { type Growth, growLast, growRemedy, growthNote, wipeGrownEnd } from './grow-partition.ts'
import { guidBytes, randomGuid } from './guid.ts'
import { imageSectors } from './image-reader.ts'
import { decodeMbrEntries, MBR_SIZE, protectiveMbr } from './mbr.ts'
import type { GptTable } from './read-gpt.ts'
import { configDriveError, tableError } from './table-error.ts'

/**
 * cloud-init finds a config drive by its volume label and cloudbase-init an ISO 9660 one by reading every partition, so the
 * type is free there: as "Linux filesystem" Windows gives it no letter and does not offer to format it. A FAT one must be a
 * volume for Windows, so that is "Microsoft basic data".
 */
const configDriveType = {
  512: guidBytes('0fc63daf-8483-4772-8e79-3d69d8477de4'),
  4096: guidBytes('ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'),
}

/** The image's GPT on the disk: same partitions, backup at the disk's end, and the config drive's partition. */
export async function planGpt(
  input: BootAreasInput,
  table: GptTable,
  { head, tail }: ImageAreas,
  notes: string[],
): Promise<BootAreas> {
  const { diskSize, sectorSize } = input
  const moved = moveHeader(input, table)
  const { array, configDrive, replaced } = await addConfigDrive(input, table)
  const growth = input.growLastPartition
    ? grow(input, table, moved.primary, head, array, { configDrive, replaced })
    : null
  const primary: GptHeader = { ...moved.primary, entriesCrc: crc32(array) }
  const backup: GptHeader = { ...moved.backup, entriesCrc: crc32(array) }
  const { mbr, notes: mbrNotes } = protectiveMbr(
    head.subarray(0, MBR_SIZE),
    diskSize / sectorSize,
    imageSectors(input),
  )

  head.set(mbr, 0)
  head.set(encodeGptHeader(primary, sectorSize), sectorSize)
  if (configDrive || growth || table.repaired)
    putPrimaryArray(head, array, primary.entriesLba * sectorSize, table.repaired || growth !== null)
  const tailOffset = diskSize - BOOT_AREA
  const wipe = growth && wipeGrownEnd(growth, tail, diskSize)
  const backupArea = new Uint8Array((arraySectors(backup, sectorSize) + 1) * sectorSize)
  backupArea.set(array)
  backupArea.set(encodeGptHeader(backup, sectorSize), backupArea.length - sectorSize)
  tail.set(backupArea, backup.entriesLba * sectorSize - tailOffset)

  if (replaced !== undefined)
    notes.push(`Partition ${replaced} of the image was a config drive; it was replaced.`)
  if (input.growLastPartition) notes.push(growthNote(growth))
  return {
    head,
    tail,
    configDrive,
    wipe,
    table: { kind: 'gpt', partitions: summaries(decodeGptEntries(array, primary.entrySize), sectorSize) },
    notes: [...notes, ...table.notes, ...mbrNotes],
  }
}

/** Both headers for the disk: the backup in the last LBA, its array just before it, everything before that usable. */
function moveHeader({ diskSize, sectorSize }: BootAreasInput, { header, entries }: GptTable) {
  const lastLba = diskSize / sectorSize - 1
  const sectors = arraySectors(header, sectorSize)
  const backupEntriesLba = lastLba - sectors
  const last = entries.reduce((a, b) => (b.endLba > a.endLba ? b : a))
  if (Math.max(last.endLba, header.entriesLba + sectors - 1) >= backupEntriesLba) {
    throw tableError(
      `Partition ${last.number} ends at LBA ${last.endLba}, but the backup GPT needs the disk from LBA ${backupEntriesLba} on.`,
      `Shrink the last partition of the image or use a disk that is larger by at least ${sectors + 1} sectors.`,
    )
  }
  const common = { ...header, lastUsableLba: backupEntriesLba - 1 }
  return {
    primary: { ...common, myLba: 1, alternateLba: lastLba },
    backup: { ...common, myLba: lastLba, alternateLba: 1, entriesLba: backupEntriesLba },
  }
}

/**
 * The entry array with the config drive's entry. A config drive that the image brings gives its slot to ours, so that one
 * is found; without one, the first free slot is taken.
 */
async function addConfigDrive(input: BootAreasInput, { header, array, entries }: GptTable) {
  const { configDriveBytes, diskSize, sectorSize } = input
  const changed = Uint8Array.from(array)
  if (configDriveBytes === 0) return { array: changed, configDrive: null, replaced: undefined }
  const partitions = summaries(entries, sectorSize)
  const replaced = await findConfigPartition(input, partitions)
  const used = new Set(entries.map((entry) => entry.number))
  const slots = Array.from({ length: header.entryCount }, (_, index) => index + 1)
  const slot = replaced ?? slots.find((number) => !used.has(number))
  if (slot === undefined) {
    throw configDriveError(
      `All ${header.entryCount} entries of the image's GPT are in use.`,
      'Remove a partition from the image or deploy without a config drive.',
    )
  }
  const length = Math.ceil(configDriveBytes / sectorSize) * sectorSize
  const offset = placeConfigDrive(diskSize, length, [
    ...partitions
      .filter((partition) => partition.number !== replaced)
      .map((partition) => ({ ...partition, name: `partition ${partition.number}` })),
    {
      offset: header.entriesLba * sectorSize,
      length: arraySectors(header, sectorSize) * sectorSize,
      name: "the GPT's entry array",
    },
  ])
  const entry = encodeGptEntry(
    {
      type: configDriveType[sectorSize],
      guid: randomGuid(),
      startLba: offset / sectorSize,
      endLba: (offset + length) / sectorSize - 1,
      name: configLabel,
    },
    header.entrySize,
  )
  changed.set(entry, (slot - 1) * header.entrySize)
  return { array: changed, configDrive: { offset, length }, replaced }
}

/** Gives the last partition's entry in `array` its new end, in place. */
function grow(
  { sectorSize }: BootAreasInput,
  { entries }: GptTable,
  { entriesLba, entrySize, lastUsableLba }: GptHeader,
  head: Uint8Array,
  array: Uint8Array,
  { configDrive, replaced }: { configDrive: BootAreas['configDrive']; replaced: number | undefined },
): Growth | null {
  const growth = growLast(
    summaries(entries, sectorSize).filter(({ number }) => number !== replaced),
    [(lastUsableLba + 1) * sectorSize, entriesLba * sectorSize, ...(configDrive ? [configDrive.offset] : [])],
  )
  if (!growth) return null
  const { number, offset } = growth.partition
  const mbr = decodeMbrEntries(head.subarray(0, MBR_SIZE))
  if (mbr.some((entry) => entry.startLba * sectorSize === offset)) {
    throw tableError(
      `Partition ${number}, the last one of the image, is in its hybrid MBR as well and cannot grow.`,
      growRemedy,
    )
  }
  setEndLba(array, number, (offset + growth.length) / sectorSize - 1, entrySize)
  return growth
}

function putPrimaryArray(head: Uint8Array, array: Uint8Array, offset: number, isForTable: boolean): void {
  if (offset + array.length <= head.length) {
    head.set(array, offset)
    return
  }
  const cause = `The GPT's entry array is at byte ${offset}, outside the first MiB, where it cannot be changed.`
  const remedy = 'Move the entry array of the image to LBA 2 (sgdisk --move-main-table=2).'
  throw isForTable ? tableError(cause, remedy) : configDriveError(cause, remedy)
}

const summaries = (entries: GptEntry[], sectorSize: number): PartitionSummary[] =>
  entries.map(({ number, type, startLba, endLba, name }) => ({
    number,
    offset: startLba * sectorSize,
    length: (endLba - startLba + 1) * sectorSize,
    type,
    name,
  }))
