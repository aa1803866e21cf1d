import { type ImageReader, imageSectors, readPadded } from './image-reader.ts'
import { decodeMbrEntries, isFileSystemBootSector, isProtective, MBR_SIZE, type MbrEntry } from './mbr.ts'
import { type GptTable, hasGptOf, probeGpt, readGpt } from './read-gpt.ts'
import { type MbrTable, readMbr } from './read-mbr.ts'
import { tableError } from './table-error.ts'

export type ImageTable = GptTable | MbrTable | { kind: 'none'; notes: string[] }

/**
 * Finds the partition table of the image, as a system on a disk of these sectors would: a GPT where an MBR says so (or says
 * nothing), else an MBR, else none. A file system, LUKS or anything else without a table is `none`.
 *
 * @throws ImagingError GPT when there is a table that cannot be used
 */
export async function readTable(image: ImageReader, diskSize: number): Promise<ImageTable> {
  const sector = await readPadded(image, 0, MBR_SIZE)
  const entries = believedEntries(sector, imageSectors(image))
  const gpt = await probeGpt(image)
  const foreign = !gpt.primary && !gpt.backup && (await hasGptOf(image, otherSize(image.sectorSize)))
  const blank = sector.every((byte) => byte === 0)
  const silent = entries.length === 0 && !isFileSystemBootSector(sector)
  if (entries.some(isProtective) || (silent && (gpt.primary || foreign || (blank && gpt.backup)))) {
    if (foreign) refuseSectorSize(image)
    return await readGpt(image, diskSize)
  }
  if (entries.length === 0) return { kind: 'none', notes: [] }
  const table = await readMbr(image, sector, diskSize)
  if (gpt.primary)
    table.notes.push('The image has a GPT beside an MBR that does not name it; the MBR was taken.')
  return table
}

const otherSize = (sectorSize: 512 | 4096): 512 | 4096 => (sectorSize === 512 ? 4096 : 512)

function refuseSectorSize(image: ImageReader): never {
  const [disk, made] = [image.sectorSize, otherSize(image.sectorSize)]
  throw tableError(
    `The GPT of the image was made for ${made} byte sectors, but the disk has ${disk} byte sectors.`,
    `Use an image that was made for disks with ${disk} byte sectors.`,
  )
}

const flagged = (entry: MbrEntry): boolean => entry.bootFlag === 0 || entry.bootFlag === 0x80

/**
 * The entries of an MBR, or none where they are the code or text of a boot sector: a file system's boot sector must show a
 * sound table to be believed, any other sector one that is not nonsense.
 */
export function believedEntries(sector: Uint8Array, sectors: number): MbrEntry[] {
  const entries = decodeMbrEntries(sector).filter((entry) => entry.sectors > 0 || isProtective(entry))
  const inside = (entry: MbrEntry): boolean => entry.startLba + entry.sectors <= sectors
  const believed = isFileSystemBootSector(sector)
    ? entries.every((entry) => flagged(entry) && entry.startLba > 0 && (isProtective(entry) || inside(entry)))
    : entries.every((entry) => flagged(entry) || inside(entry))
  return believed ? entries : []
}
