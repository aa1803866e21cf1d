import type { ImageRequest, ImageType } from './deploy-image.types.ts'
import { DETECT_BYTES, detectFormat } from './decode/magic.ts'
import { ImagingError } from './error.ts'
import { HEAD } from './pipeline/head-first.ts'
import { openImage } from './pipeline/open-image.ts'
import { type OpenedImage, Unseen } from './pipeline/opened-image.ts'
import type { AddressPolicy } from './source/address-policy.ts'
import { openSource } from './source/open-source.ts'
import type { ByteSink, ImageSource } from './source/source.ts'
import { BOOT_AREA, type TableSummary } from './table/boot-areas.types.ts'
import { planBootAreas } from './table/plan-boot-areas.ts'

const EFI_SYSTEM = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', 'ef']
/** Room on the disk that is assumed where no size is given: the image, and what a moved table needs. */
const ROOM = 4 * BOOT_AREA

export interface InspectOptions {
  /** `type` null: what its first bytes say. */
  image: Omit<ImageRequest, 'type' | 'checkSum'> & { type: ImageType | null }
  boot: 'uefi' | 'legacy' | null
  /** Bytes; null: a disk on which the image fits. */
  diskSize?: number | null
  sectorSize?: 512 | 4096
  addressPolicy: AddressPolicy
  signal?: AbortSignal
}

export interface Inspection {
  format: ImageType
  /** Bytes; null where the server does not tell. */
  virtualSize: number | null
  bytesServed: number | null
  /** Reads at any place of the file are possible; without, only the head of the stream was looked at. */
  ranged: boolean
  clusterSize: number | null
  compression: 'deflate' | 'zstd' | null
  /** Null where the partition table could not be looked at. */
  table: TableSummary | null
  hasEfiSystemPartition: boolean | null
  hasBiosBootCode: boolean | null
  /** What will be repaired or kept. */
  notes: string[]
  /** What would deploy, but probably not do what is wanted. */
  warnings: string[]
}

/**
 * Tells what an image is and whether it would deploy and boot; changes nothing and reads a few MiB at most.
 * @throws ImagingError what deployImage would refuse the image with before it touches a disk.
 */
export async function inspectImage(options: InspectOptions): Promise<Inspection> {
  try {
    return await inspect(options)
  } catch (error) {
    if (error instanceof ImagingError) error.disk = 'untouched'
    throw error
  }
}

async function inspect({
  image: request,
  addressPolicy: policy,
  signal,
  ...wish
}: InspectOptions): Promise<Inspection> {
  const { url, file, httpHeader } = request
  const source = await openSource({
    url,
    ...(file ? { file } : {}),
    httpHeader,
    policy,
    ...(signal ? { signal } : {}),
    hasCheckSum: true, // to look at an image, its end need not be known
  })
  try {
    const head = source.ranged ? null : await readHead(source)
    const type = request.type ?? (await detectType(source, head))
    const image = await openImage(source, type, 0, head)
    return await describe(source, type, image, wish)
  } finally {
    await source.close()
  }
}

/** By its magic; what has none is tried as raw, which refuses what is no disk image. */
async function detectType(source: ImageSource, head: Buffer | null): Promise<ImageType> {
  const start = head ?? Buffer.alloc(Math.min(DETECT_BYTES, source.size ?? DETECT_BYTES))
  if (!head) await source.readAt(0, start)
  const format = detectFormat(start)
  if (format === 'tar') return 'ova'
  return format === 'qcow2' || format === 'vmdk' ? format : 'raw'
}

async function describe(
  source: ImageSource,
  format: ImageType,
  image: OpenedImage,
  wish: Pick<InspectOptions, 'boot' | 'diskSize' | 'sectorSize'>,
): Promise<Inspection> {
  const { header } = image
  const seen = await lookAtTable(image, wish.diskSize ?? null, wish.sectorSize ?? 512)
  const hasEfiSystemPartition = seen && seen.table.partitions.some(({ type }) => EFI_SYSTEM.includes(type))
  const hasBiosBootCode = await hasBootCode(image)
  const inspection: Inspection = {
    format,
    virtualSize: image.virtualSize ?? null,
    bytesServed: source.size ?? null,
    ranged: source.ranged,
    clusterSize: header?.clusterSize ?? null,
    compression: header?.codec ?? null,
    table: seen?.table ?? null,
    hasEfiSystemPartition,
    hasBiosBootCode,
    notes: [...(header?.notes ?? []), ...(seen?.notes ?? [])],
    warnings: [],
  }
  inspection.warnings = warningsFor(inspection, wish.boot)
  return inspection
}

/** The dry run of what deployImage does with the table; null where that part of the image cannot be looked at. */
async function lookAtTable(
  { virtualSize, view }: OpenedImage,
  wishedSize: number | null,
  sectorSize: 512 | 4096,
): Promise<{ table: TableSummary; notes: string[] } | null> {
  if (virtualSize === undefined) return null
  const diskSize = wishedSize ?? Math.ceil(virtualSize / BOOT_AREA) * BOOT_AREA + ROOM
  const read = (offset: number, length: number) => view.read(offset, length)
  try {
    return await planBootAreas({ imageSize: virtualSize, diskSize, sectorSize, configDriveBytes: 0, read })
  } catch (error) {
    if (error instanceof Unseen) return null
    throw error
  }
}

/** The first 440 bytes are the code of a master boot record, whatever the partition table (UEFI specification, 5.2.1). */
async function hasBootCode({ view }: OpenedImage): Promise<boolean | null> {
  try {
    return (await view.read(0, 440)).some((byte) => byte !== 0)
  } catch (error) {
    if (error instanceof Unseen) return null
    throw error
  }
}

function warningsFor(found: Inspection, boot: 'uefi' | 'legacy' | null): string[] {
  const warnings: string[] = []
  if (!found.ranged) {
    warnings.push('The server does not support Range requests, so only the head of the image was looked at.')
  }
  if (found.table?.kind === 'none') warnings.push('The image has no partition table.')
  if (boot === 'uefi' && found.hasEfiSystemPartition === false) {
    warnings.push('The image has no EFI system partition, so UEFI firmware will probably not boot it.')
  }
  if (boot === 'legacy' && found.hasBiosBootCode === false) {
    warnings.push('The image has no boot code in its first sector, so a BIOS will not boot it.')
  }
  return warnings
}

class HeadSeen extends Error {}

/** The first MiB of a stream, or all of a shorter one. */
async function readHead(source: ImageSource): Promise<Buffer> {
  const head = Buffer.alloc(HEAD)
  let length = 0
  const sink: ByteSink = {
    reserve: () => (length < HEAD ? head.subarray(length) : Promise.reject(new HeadSeen())),
    commit: (bytes) => void (length += bytes),
  }
  await source.stream(sink).catch((error: unknown) => {
    if (length < HEAD) throw error
  })
  return head.subarray(0, length)
}
