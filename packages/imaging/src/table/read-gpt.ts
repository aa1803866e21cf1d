import { crc32 } from 'node:zlib'
import { arrayBytes, arraySectors, decodeGptEntries, decodeGptHeader } from './gpt.ts'
import type { GptEntry, GptFault, GptHeader } from './gpt.ts'
import { type ImageReader, imageSectors, readPadded } from './image-reader.ts'
import { tableError } from './table-error.ts'

/** A header whose CRC, place and numbers are right. */
type GptHeaderCopy = { header: GptHeader }
/** A header with the array that it names, both right. */
type GptCopy = GptHeaderCopy & { array: Uint8Array }

/** The image's table, from whichever copy is sound, with partitions that are proved to lie inside image and disk. */
export interface GptTable {
  kind: 'gpt'
  /** As the primary header must be in the image: `entriesLba` is the primary array's. */
  header: GptHeader
  /** Entry array, without padding. */
  array: Uint8Array
  entries: GptEntry[]
  /** True where the primary copy in the image is not usable and was taken from the backup. */
  repaired: boolean
  notes: string[]
}

const remedyRebuild = 'Repair the partition table of the image (for example with gdisk) and deploy it again.'

const isFault = (copy: GptFault | GptHeaderCopy): copy is GptFault => 'fault' in copy

async function readHeader(image: ImageReader, lba: number): Promise<GptFault | GptHeaderCopy> {
  if (lba < 1 || lba >= imageSectors(image)) return { kind: 'absent', fault: 'lies outside the image' }
  const found = decodeGptHeader(await readPadded(image, lba * image.sectorSize, image.sectorSize), lba)
  return 'fault' in found ? found : { header: found }
}

async function readCopy(image: ImageReader, lba: number): Promise<GptFault | GptCopy> {
  const copy = await readHeader(image, lba)
  if (isFault(copy)) return copy
  const { header } = copy
  if (header.entriesLba + arraySectors(header, image.sectorSize) > imageSectors(image)) {
    return { kind: 'impossible', fault: `has its entry array at LBA ${header.entriesLba}, outside the image` }
  }
  const array = await readPadded(image, header.entriesLba * image.sectorSize, arrayBytes(header))
  if (crc32(array) !== header.entriesCrc) return { kind: 'damaged', fault: 'has a wrong entry array CRC' }
  return { header, array }
}

/** True where a sound GPT header of `sectorSize` stands at LBA 1. */
export const hasGptOf = async (image: ImageReader, sectorSize: 512 | 4096): Promise<boolean> =>
  !isFault(await readHeader({ ...image, sectorSize }, 1))

/** What is at LBA 1 and at the image's last LBA, without judging partitions. */
export async function probeGpt(image: ImageReader): Promise<{ primary: boolean; backup: boolean }> {
  const primary = await readHeader(image, 1)
  const backup = await readHeader(image, imageSectors(image) - 1)
  return { primary: !isFault(primary) || primary.kind !== 'absent', backup: !isFault(backup) }
}

/**
 * Reads both copies and takes the primary, else the backup. A copy may be damaged; a copy whose CRC is right over numbers
 * that cannot be was made so, and is refused instead of being passed over. Partitions that overlap are refused too: two
 * readers would disagree about whose data it is, and a partition that grows at first boot would destroy the other.
 *
 * @throws ImagingError GPT
 */
export async function readGpt(image: ImageReader, diskSize: number): Promise<GptTable> {
  const primary = await readCopy(image, 1)
  const primaryHeader = await readHeader(image, 1)
  if (isFault(primary) && primary.kind === 'impossible') {
    throw tableError(`The primary GPT header of the image ${primary.fault}.`, remedyRebuild)
  }
  const backup = await readBackup(
    image,
    isFault(primaryHeader) ? undefined : primaryHeader.header.alternateLba,
  )
  const notes: string[] = []
  let table: GptTable
  if (!isFault(primary)) {
    table = tableFrom(primary, primary.header.entriesLba, false, notes)
    if (isFault(backup))
      notes.push(`The backup GPT of the image ${backup.fault}; it was made anew from the primary.`)
    else if (!Buffer.from(backup.array).equals(primary.array)) {
      notes.push('The backup GPT of the image listed other partitions; the primary was taken.')
    }
  } else if (!isFault(backup)) {
    // A primary array may stand elsewhere than at LBA 2, because boot code has that place.
    const entriesLba = isFault(primaryHeader) ? 2 : primaryHeader.header.entriesLba
    table = tableFrom(backup, entriesLba, true, notes)
    notes.push(`The primary GPT of the image ${primary.fault}; it was repaired from the backup.`)
  } else {
    throw tableError(
      `The primary GPT of the image ${primary.fault} and its backup ${backup.fault}.`,
      remedyRebuild,
    )
  }
  checkPartitions(table, image, diskSize)
  notes.push(...sharedGuids(table.entries))
  return table
}

async function readBackup(image: ImageReader, alternateLba: number | undefined): Promise<GptFault | GptCopy> {
  const lastLba = imageSectors(image) - 1
  const named = alternateLba === undefined ? undefined : await readCopy(image, alternateLba)
  if (named && (!isFault(named) || alternateLba === lastLba)) return named
  const last = await readCopy(image, lastLba)
  return isFault(last) && named ? named : last
}

const tableFrom = (copy: GptCopy, entriesLba: number, repaired: boolean, notes: string[]): GptTable => ({
  kind: 'gpt',
  header: { ...copy.header, entriesLba },
  array: copy.array,
  entries: decodeGptEntries(copy.array, copy.header.entrySize),
  repaired,
  notes,
})

const refuse = (cause: string): never => {
  throw tableError(cause, remedyRebuild)
}

function checkPartitions({ header, entries }: GptTable, image: ImageReader, diskSize: number): void {
  if (entries.length === 0) refuse('The GPT of the image lists no partition.')
  const arrayEnd = header.entriesLba + arraySectors(header, image.sectorSize) - 1
  const byStart = entries.toSorted((a, b) => a.startLba - b.startLba)
  byStart.forEach((entry, index) => {
    const { number, startLba, endLba } = entry
    const range = `Partition ${number} of the image (LBA ${startLba} to ${endLba})`
    if (startLba > endLba) refuse(`${range} ends before it begins.`)
    if (endLba >= Math.floor(diskSize / image.sectorSize)) refuse(`${range} ends past the end of the disk.`)
    if (endLba >= imageSectors(image))
      refuse(`${range} ends past the end of the image: the image is cut short.`)
    if (startLba < header.firstUsableLba || endLba > header.lastUsableLba) {
      refuse(`${range} leaves the usable LBAs ${header.firstUsableLba} to ${header.lastUsableLba}.`)
    }
    if (startLba <= arrayEnd && endLba >= header.entriesLba)
      refuse(`${range} overlaps the GPT's entry array.`)
    const before = byStart[index - 1]
    if (before && before.endLba >= startLba)
      refuse(`Partitions ${before.number} and ${number} of the image overlap.`)
  })
}

function sharedGuids(entries: GptEntry[]): string[] {
  const byGuid = Map.groupBy(entries, (entry) => entry.guid)
  return [...byGuid.values()]
    .filter((same) => same.length > 1)
    .map(
      (same) =>
        `Partitions ${same.map((entry) => entry.number).join(', ')} share one unique GUID; it was kept.`,
    )
}
