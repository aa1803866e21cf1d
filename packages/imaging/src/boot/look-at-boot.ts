import type { EfiSystemPartition } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import { PieceReader } from '../filesystem/piece-reader.ts'
import { Volume } from '../filesystem/volume.ts'
import { type ImageReader, unlessUnseen } from '../table/image-reader.ts'
import { isExtended, MBR_SIZE } from '../table/mbr.ts'
import { type ImageTable, readTable } from '../table/read-table.ts'
import { grubCoreLba } from './boot-code.ts'
import { type EspContent, readEsp } from './efi-loaders.ts'
import { efiPartitions } from './efi-partitions.ts'
import { findKernels } from './kernels.ts'

/** Partitions of an image that are looked into for kernels. */
const MOST_PARTITIONS = 16
/** A BIOS has sectors of 512 bytes. */
const BIOS_SECTOR = 512

/** What a server's firmware will find on an image. Members are undefined where the image cannot be looked at yet. */
export interface BootFacts {
  /** The first 512 bytes. */
  sector: Uint8Array | undefined
  table: ImageTable | undefined
  esps: { partition: EfiSystemPartition; content: EspContent | undefined }[] | undefined
  /** The first sector of the core of GRUB that its BIOS boot code loads is zero. */
  isGrubCoreEmpty: boolean | undefined
  /** Names of Linux kernels. */
  kernels: string[] | undefined
}

/**
 * Looks at everything that decides whether an image boots. Reads some hundred KiB, a few tens of MiB of a hostile one.
 *
 * @param askedPath a file to look up on the EFI system partitions
 * @param pieces what other looks at the image have read
 * @throws ImagingError GPT when there is a partition table that cannot be used
 */
export async function lookAtBoot(
  image: ImageReader,
  diskSize: number,
  askedPath: string | null,
  pieces = new PieceReader(image),
): Promise<BootFacts> {
  const volume = (offset: number, length: number): Volume => new Volume(pieces, offset, length)
  const sector = await unlessUnseen(pieces.read(0, MBR_SIZE))
  const table = sector && (await tableOf(image, diskSize))
  const esps: BootFacts['esps'] = []
  for (const partition of table && sector ? efiPartitions(table, sector) : []) {
    const [offset, length] = [partition.startLba * image.sectorSize, partition.sectors * image.sectorSize]
    esps.push({ partition, content: await unlessUnseen(readEsp(volume(offset, length), askedPath)) })
  }
  return {
    sector,
    table,
    esps: table && esps,
    isGrubCoreEmpty: sector && (await unlessUnseen(isCoreEmpty(pieces, sector))),
    kernels: table && (await unlessUnseen(kernelsOf(image, table, volume))),
  }
}

/** The table, as far as it can be told from what can be looked at: the backup of a GPT does not matter beside a sound primary. */
async function tableOf(image: ImageReader, diskSize: number): Promise<ImageTable | undefined> {
  let isWhole = true
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = await unlessUnseen(image.read(offset, length))
    if (!bytes) isWhole = false
    return bytes ?? new Uint8Array(length)
  }
  try {
    const table = await readTable({ ...image, read }, diskSize)
    return isWhole || isSure(table) ? table : undefined
  } catch (error) {
    if (isWhole || !(error instanceof ImagingError)) throw error
    return undefined
  }
}

function isSure(table: ImageTable): boolean {
  if (table.kind === 'gpt') return !table.repaired
  return table.kind === 'mbr' && !table.primary.some(isExtended)
}

async function isCoreEmpty(pieces: PieceReader, sector: Uint8Array): Promise<boolean> {
  const lba = grubCoreLba(sector)
  if (lba === null || lba >= 2 ** 40) return false
  return (await pieces.read(lba * BIOS_SECTOR, BIOS_SECTOR)).every((byte) => byte === 0)
}

async function kernelsOf(
  image: ImageReader,
  table: ImageTable,
  volume: (offset: number, length: number) => Volume,
): Promise<string[]> {
  const kernels: string[] = []
  for (const { startLba, sectors } of volumesOf(image, table).slice(0, MOST_PARTITIONS))
    kernels.push(...(await findKernels(volume(startLba * image.sectorSize, sectors * image.sectorSize))))
  return kernels
}

/** Partitions, or the whole of an image that has none, in sectors. */
function volumesOf(image: ImageReader, table: ImageTable): { startLba: number; sectors: number }[] {
  if (table.kind === 'none') return [{ startLba: 0, sectors: image.imageSize / image.sectorSize }]
  if (table.kind === 'mbr') return [...table.primary.filter((entry) => !isExtended(entry)), ...table.logical]
  return table.entries.map(({ startLba, endLba }) => ({ startLba, sectors: endLba - startLba + 1 }))
}
