import { type BootCode, bootCodeOf } from './boot/boot-code.ts'
import { judgeBoot } from './boot/check-boot.ts'
import type { EfiLoader } from './boot/efi-loaders.ts'
import type { Bus } from './boot/kernels.ts'
import { type BootFacts, lookAtBoot } from './boot/look-at-boot.ts'
import type { EfiSystemPartition, ImageRequest, ImageType } from './deploy-image.types.ts'
import { DETECT_BYTES, detectFormat } from './decode/magic.ts'
import { ImagingError } from './error.ts'
import { HEAD } from './pipeline/head-first.ts'
import { openImage } from './pipeline/open-image.ts'
import type { OpenedImage } from './pipeline/opened-image.ts'
import type { AddressPolicy } from './source/address-policy.ts'
import { openSource } from './source/open-source.ts'
import type { ByteSink, ImageSource } from './source/source.ts'
import { BOOT_AREA, type TableSummary } from './table/boot-areas.types.ts'
import { type ImageReader, unlessUnseen } from './table/image-reader.ts'
import { planBootAreas } from './table/plan-boot-areas.ts'
import { type MaybePacked, packedFile, unpacking } from './unpack/packed-source.ts'
import type { Packing } from './unpack/packing.ts'

/** Room on the disk that is assumed where no size is given: the image, and what a moved table needs. */
const ROOM = 4 * BOOT_AREA
/** The size of an image whose size the server does not tell: larger than any. */
const UNKNOWN_SIZE = 2 ** 50
/** For the window or dictionary of a packed file: no program asks for more unless it is told to. */
const UNPACK_RAM = 128 * 1024 * 1024

export interface InspectOptions {
  /** `type` null: what its first bytes say. */
  image: Omit<ImageRequest, 'type' | 'checkSum'> & { type: ImageType | null }
  boot: 'uefi' | 'legacy' | null
  /** What the target disk hangs on; null: not asked. */
  bus: Bus | null
  /** Bytes; null: a disk on which the image fits. */
  diskSize?: number | null
  sectorSize?: 512 | 4096
  addressPolicy: AddressPolicy
  signal?: AbortSignal
}

export interface Inspection {
  format: ImageType
  /** How the served file is packed around the image. */
  packing: Packing | null
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
  /** What is on the EFI system partitions, the loader to start first in front; null where they could not be looked at. */
  efi: (EfiSystemPartition & { loaders: EfiLoader[] })[] | null
  hasBiosBootCode: boolean | null
  /** Whose BIOS boot code it is; null where there is none, or it could not be looked at. */
  biosBootCode: BootCode | null
  /** File names of Linux kernels in /boot, where that is ext2, ext3 or ext4; null where it could not be looked at. */
  kernels: string[] | null
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
  const served = await openSource({
    url,
    ...(file ? { file } : {}),
    httpHeader,
    policy,
    ...(signal ? { signal } : {}),
    hasCheckSum: true, // to look at an image, its end need not be known
  })
  try {
    const source = await unpacking(served, {
      checkSumType: 'sha256',
      ramBytes: UNPACK_RAM,
      largest: () => UNKNOWN_SIZE, // only the head is unpacked
    })
    const head = source.ranged ? null : await readHead(source)
    const type = request.type ?? (await detectType(source, head))
    const image = await openImage(source, type, 0, head)
    return await describe(source, type, image, wish)
  } finally {
    await served.close()
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
  source: MaybePacked,
  format: ImageType,
  image: OpenedImage,
  wish: Pick<InspectOptions, 'boot' | 'bus' | 'diskSize' | 'sectorSize'>,
): Promise<Inspection> {
  const { header, virtualSize } = image
  const imageSize = virtualSize ?? UNKNOWN_SIZE
  const diskSize = wish.diskSize ?? Math.ceil(imageSize / BOOT_AREA) * BOOT_AREA + ROOM
  const read = (offset: number, length: number) => image.view.read(offset, length)
  const reader: ImageReader = { imageSize, sectorSize: wish.sectorSize ?? 512, read }
  // The dry run of what deployImage does with the table.
  const plan =
    virtualSize === undefined ? undefined : planBootAreas({ ...reader, diskSize, configDriveBytes: 0 })
  const areas = plan && (await unlessUnseen(plan))
  const facts = await lookAtBoot(reader, diskSize, null)
  const verdict = judgeBoot(facts, {
    boot: wish.boot,
    efiBootloaderPath: null,
    transport: wish.bus,
    cpu: null,
  })
  const packed = packedFile(source)
  const inspection = {
    format,
    packing: packed?.packing ?? null,
    virtualSize: virtualSize ?? null,
    bytesServed: (packed ? packed.fileSize : source.size) ?? null,
    ranged: source.ranged,
    clusterSize: header?.clusterSize ?? null,
    compression: header?.codec ?? null,
    table: areas?.table ?? null,
    ...describeBoot(facts),
    notes: [...(header?.notes ?? []), ...(areas?.notes ?? [])],
  }
  return { ...inspection, warnings: [...warningsFor(inspection, facts), ...verdict.notes] }
}

function describeBoot({ sector, esps, kernels }: BootFacts) {
  const isSeen = esps?.every(({ content }) => content !== undefined)
  return {
    hasEfiSystemPartition: esps ? esps.length > 0 : null,
    efi: isSeen
      ? (esps ?? []).map(({ partition, content }) => ({ ...partition, loaders: content?.loaders ?? [] }))
      : null,
    hasBiosBootCode: sector ? bootCodeOf(sector) !== null : null,
    biosBootCode: sector ? bootCodeOf(sector) : null,
    kernels: kernels ?? null,
  }
}

function warningsFor(
  { packing, ranged, table, efi }: Omit<Inspection, 'warnings'>,
  { esps }: BootFacts,
): string[] {
  const warnings: string[] = []
  if (packing !== null) {
    warnings.push(`The image is packed by ${packing}, so only its head was looked at.`)
  } else if (!ranged) {
    warnings.push('The server does not support Range requests, so only the head of the image was looked at.')
  }
  if (table?.kind === 'none') warnings.push('The image has no partition table.')
  for (const { partition, content } of esps ?? []) {
    if (content?.fault)
      warnings.push(
        `The file system of the EFI system partition (number ${partition.number}) ${content.fault}.`,
      )
  }
  const cpus = new Set(efi?.flatMap(({ loaders }) => loaders.map(({ cpu }) => cpu)))
  if (cpus.size > 0 && !cpus.has('x64')) {
    warnings.push(
      `The boot loaders of the image are for ${[...cpus].join(', ')}; a server with another CPU does not start them.`,
    )
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
