import { walkEbrChain } from './ebr-chain.ts'
import { type ImageReader, imageSectors, readPadded } from './image-reader.ts'
import { decodeMbrEntries, isExtended, MBR_SIZE, type MbrEntry } from './mbr.ts'
import { tableError } from './table-error.ts'

export interface MbrTable {
  kind: 'mbr'
  /** Primary and extended partitions. */
  primary: MbrEntry[]
  /** Numbered from 5, with absolute starts. */
  logical: MbrEntry[]
  notes: string[]
}

const remedy = 'Repair the partition table of the image (for example with fdisk) and deploy it again.'

/**
 * The MBR partition table of the image, which is kept byte for byte: entries may overlap (images that are also ISO 9660 do)
 * and be in any order, but none may leave the disk.
 *
 * @param sector the first 512 bytes of the image
 * @throws ImagingError GPT
 */
export async function readMbr(image: ImageReader, sector: Uint8Array, diskSize: number): Promise<MbrTable> {
  const primary = decodeMbrEntries(sector)
  const notes: string[] = []
  for (const entry of primary) {
    checkEnd(entry, image, diskSize, notes)
    if (entry.bootFlag !== 0 && entry.bootFlag !== 0x80) {
      notes.push(
        `Partition ${entry.number} has the unknown boot flag 0x${entry.bootFlag.toString(16)}; it was kept.`,
      )
    }
  }
  const logical: MbrEntry[] = []
  for (const extended of primary.filter(isExtended)) {
    const chain = await walkEbrChain(extended, 5 + logical.length, async (lba) =>
      lba < imageSectors(image) ? await readPadded(image, lba * image.sectorSize, MBR_SIZE) : undefined,
    )
    if ('fault' in chain) throw tableError(`In the image, ${chain.fault}.`, remedy)
    for (const entry of chain.partitions) checkEnd(entry, image, diskSize, notes)
    logical.push(...chain.partitions)
  }
  if (image.sectorSize === 4096) {
    notes.push(
      'An MBR does not say for which sector size it was made; it was taken for 4096 bytes, as the disk has.',
    )
  }
  return { kind: 'mbr', primary, logical, notes }
}

function checkEnd(entry: MbrEntry, image: ImageReader, diskSize: number, notes: string[]): void {
  const end = entry.startLba + entry.sectors
  if (end * image.sectorSize > diskSize) {
    if (image.sectorSize === 4096 && end * 512 <= image.imageSize) {
      throw tableError(
        `Partition ${entry.number} of the image ends past the disk in its 4096 byte sectors, but not in 512 byte sectors.`,
        'Use an image that was made for disks with 4096 byte sectors.',
      )
    }
    throw tableError(`Partition ${entry.number} of the image ends past the end of the disk.`, remedy)
  }
  if (end > imageSectors(image)) {
    notes.push(`Partition ${entry.number} ends past the end of the image; the rest of it is zero.`)
  }
}
