import { bootCodeOf } from './boot/boot-code.ts'
import { type BootFacts, lookAtBoot } from './boot/look-at-boot.ts'
import { DETECT_BYTES, detectFormat } from './decode/magic.ts'
import type { ImageType } from './deploy-image.types.ts'
import { ImagingError } from './error.ts'
import { PieceReader } from './filesystem/piece-reader.ts'
import type { Fetched, Inspected, InspectOptions } from './inspect/inspection.types.ts'
import { judgeDisk } from './inspect/judge-disk.ts'
import { judgeStart } from './inspect/judge-start.ts'
import { lookInto } from './inspect/look-into.ts'
import { lookReader } from './inspect/look-reader.ts'
import { warningsFor } from './inspect/warnings.ts'
import { HEAD } from './pipeline/head-first.ts'
import { openImage } from './pipeline/open-image.ts'
import type { OpenedImage } from './pipeline/opened-image.ts'
import { ObservedSource } from './source/observed-source.ts'
import { openSource } from './source/open-source.ts'
import type { ByteSink, ImageSource } from './source/source.ts'
import { BOOT_AREA } from './table/boot-areas.types.ts'
import type { ImageReader } from './table/image-reader.ts'
import { type MaybePacked, packedFile, unpacking } from './unpack/packed-source.ts'

/** The size of an image whose size the server does not tell: larger than any. */
const UNKNOWN_SIZE = 2 ** 50
/** For the window or dictionary of a packed file: no program asks for more unless it is told to. */
const UNPACK_RAM = 128 * 1024 * 1024

/**
 * Tells what an image is and whether it would deploy and boot; changes nothing and reads a few MiB at most. What deployImage would
 * refuse it with before it touches a disk is the answer's `refusal`, found by the same code.
 * @throws ImagingError where the image cannot be had (DOWNLOAD, TIMEOUT) or is no image of its type (FORMAT)
 */
export async function inspectImage(options: InspectOptions): Promise<Inspected> {
  try {
    const inspected = await inspect(options)
    if (inspected.refusal) inspected.refusal.disk = 'untouched'
    return inspected
  } catch (error) {
    if (error instanceof ImagingError) error.disk = 'untouched'
    throw error
  }
}

async function inspect(options: InspectOptions): Promise<Inspected> {
  const { image: request, addressPolicy: policy, signal } = options
  const { url, file, httpHeader } = request
  const served = await openSource({
    url,
    ...(file ? { file } : {}),
    httpHeader,
    policy,
    ...(signal ? { signal } : {}),
    hasCheckSum: true, // to look at an image, its end need not be known
  })
  const fetched: Fetched = { reads: 0, bytes: 0 }
  const metered = metering(served, fetched)
  try {
    const source = await unpacking(metered, {
      checkSumType: 'sha256',
      ramBytes: UNPACK_RAM,
      largest: () => UNKNOWN_SIZE, // only the head is unpacked
    })
    const head = source.ranged ? null : await readHead(source)
    const type = request.type ?? (await detectType(source, head))
    const image = await openImage(source, type, 0, head)
    const { found, refusal } = await describe(source, type, image, options)
    return { found: { ...found, fetched }, refusal }
  } finally {
    await served.close()
  }
}

/** Counts in `fetched` what is read. */
function metering(source: ImageSource, fetched: Fetched): ImageSource {
  const count = (bytes: number) => void (fetched.bytes += bytes)
  return new ObservedSource(source, {
    onRead(bytes) {
      fetched.reads++
      count(bytes)
    },
    onStream() {
      fetched.reads++
      return (bytes) => count(bytes.length)
    },
  })
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
  wish: InspectOptions,
): Promise<Inspected> {
  const { header, stored } = image
  const virtualSize = image.virtualSize ?? null
  const reader = lookReader({
    imageSize: virtualSize ?? UNKNOWN_SIZE,
    sectorSize: wish.sectorSize ?? 512,
    read: (offset, length) => image.view.read(offset, length),
  })
  const onDisk = await judgeDisk(reader, virtualSize, wish.diskSize ?? null)
  const { table } = onDisk.areas ?? {}
  const pieces = new PieceReader(reader)
  const { facts, refusal } = await lookOrRefuse(reader, pieces)
  const contents = table && (await lookInto(pieces, table, reader.imageSize))
  const start = refusal ? null : judgeStart(facts, wish)
  const packed = packedFile(source)
  const found = {
    format,
    packing: packed?.packing ?? null,
    virtualSize,
    bytesServed: (packed ? packed.fileSize : source.size) ?? null,
    bytesAllocated: stored?.bytes ?? null,
    fetched: { reads: 0, bytes: 0 },
    ranged: source.ranged,
    clusterSize: header?.clusterSize ?? null,
    compression: header && stored?.isCompressed !== false ? header.codec : null,
    table: table && contents ? { kind: table.kind, partitions: contents.partitions } : null,
    fileSystem: contents?.fileSystem ?? null,
    ...describeBoot(facts),
    consoles: contents?.consoles ?? [],
    cloudInit: contents?.cloudInit ?? null,
    configPartition: contents?.configPartition ?? null,
    target: onDisk.target,
  }
  return {
    found: {
      ...found,
      verdicts: { fits: onDisk.fits, boots: start?.boots ?? null },
      notes: [...(header?.notes ?? []), ...(onDisk.areas?.notes ?? [])],
      warnings: [...warningsFor(found, facts), ...onDisk.warnings, ...(start?.notes ?? [])],
    },
    refusal: onDisk.refusal ?? refusal ?? start?.refusal ?? null,
  }
}

/** Of a partition table that cannot be used, it is not told what a firmware would make of it. */
async function lookOrRefuse(
  reader: ImageReader,
  pieces: PieceReader,
): Promise<{ facts: BootFacts; refusal: ImagingError | null }> {
  try {
    return { facts: await lookAtBoot(reader, reader.imageSize + BOOT_AREA, null, pieces), refusal: null }
  } catch (error) {
    if (error instanceof ImagingError && error.code === 'GPT') return { facts: nothingSeen, refusal: error }
    throw error
  }
}

const nothingSeen: BootFacts = {
  sector: undefined,
  table: undefined,
  esps: undefined,
  isGrubCoreEmpty: undefined,
  kernels: undefined,
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
