import { availableParallelism, freemem } from 'node:os'
import { type BootVerdict, checkBoot } from './boot/check-boot.ts'
import { buildConfigDrive } from './configdrive/build-config-drive.ts'
import type { CheckSumType, DeployOptions, DeployResult } from './deploy-image.types.ts'
import { assertDigest } from './digest.ts'
import type { Disk } from './disk/disk.ts'
import {
  assertMirrors,
  type DiskFacts,
  inspectDisk,
  type SizedFacts,
  SMALLEST_DISK,
} from './disk/inspect-disk.ts'
import { ioFailure } from './disk/io-failure.ts'
import { publish } from './disk/publish.ts'
import { Targets } from './disk/targets.ts'
import { zeroOut } from './disk/zero-out.ts'
import { type DiskState, ImagingError, internalError } from './error.ts'
import { HeadFirst, type RingSink } from './pipeline/head-first.ts'
import { openImage } from './pipeline/open-image.ts'
import type { OpenedImage } from './pipeline/opened-image.ts'
import { Reporter } from './pipeline/reporter.ts'
import { Ring, type RingShare, sharedPages } from './pipeline/ring.ts'
import { SpoolOnDisk } from './pipeline/spool-on-disk.ts'
import { Staging } from './pipeline/staging.ts'
import { ringBytes, threadCount } from './pipeline/thread-count.ts'
import { BLOCK } from './pipeline/written-map.ts'
import { type DiskPlan, planDisks, prepareDisk, readerOf } from './publication.ts'
import { type OpenSourceRequest, openSource } from './source/open-source.ts'
import { BOOT_AREA } from './table/boot-areas.types.ts'
import { type ImageReader, unlessUnseen } from './table/image-reader.ts'
import { planBootAreas } from './table/plan-boot-areas.ts'
import { establishTrust, type Trust } from './trust/trust.ts'
import { type MaybePacked, packedFile, unpacking } from './unpack/packed-source.ts'

/** The first attempt and two more, for a file that changes while it is served. */
const ATTEMPTS = 3
/** What a buffer has at least where tables come behind the data they place, to look back. */
const LOOKBACK_RING_BYTES = 32 * 1024 * 1024
/** What a packed image may have besides twice the disk, before it is taken for a bomb: tables, descriptors, padding. */
const UNPACKED_ROOM = 1024 * 1024 * 1024

/** One call of deployImage, over its attempts. */
interface Deployment {
  options: DeployOptions
  /** What vouches for the image; null until it has been fetched. */
  trust: Trust | null
  report: Reporter
  threads: number
  ring: RingShare | null
  startedAt: number
  /** What the disks hold now, whatever happens next: of several, the worst. */
  state: DiskState
  targets: Targets | null
  staging: Staging | null
  notes: Set<string>
}

/**
 * Puts an image on a disk, or on several at once: downloads, checks, decodes and writes it in one pass, verifies it, and only then makes the disk
 * bootable. Whenever this fails after the first write, the first and the last MiB of each disk are zero: nothing half
 * written ever boots.
 *
 * @throws ImagingError always with `disk` set to what the disk holds.
 */
export async function deployImage(options: DeployOptions): Promise<DeployResult> {
  const deployment: Deployment = {
    options,
    trust: null,
    report: new Reporter(options),
    threads: options.threads ?? threadCount(availableParallelism(), freemem()),
    ring: null,
    startedAt: performance.now(),
    state: 'untouched',
    targets: null,
    staging: null,
    notes: new Set(),
  }
  const stop = () => deployment.staging?.stop(cancelled())
  options.signal?.addEventListener('abort', stop)
  try {
    await fetchTrust(deployment)
    return await withRestarts(deployment)
  } catch (error) {
    throw withDiskState(error, deployment)
  } finally {
    options.signal?.removeEventListener('abort', stop)
    await deployment.targets?.close()
  }
}

/** Checksum files and signatures come before the disk is touched: from here on the checksum of the image is known. */
async function fetchTrust(deployment: Deployment): Promise<void> {
  const { options } = deployment
  const trust = await establishTrust(options.image, sourceOf(deployment))
  deployment.trust = trust
  deployment.options = { ...options, image: { ...options.image, checkSum: trust.checkSum } }
}

async function withRestarts(deployment: Deployment): Promise<DeployResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await deployOnce(deployment)
    } catch (error) {
      if (!(error instanceof ImagingError && error.startAgain)) throw error
      if (attempt === ATTEMPTS) throw gaveUp(error)
      deployment.report.log(`Starting again at the first byte: ${error.cause}`)
    }
  }
}

async function deployOnce(deployment: Deployment): Promise<DeployResult> {
  const { options } = deployment
  const { image } = options
  assertGoesOn(deployment)
  const source = await openImageSource(deployment)
  try {
    await writeAllButBootAreas(deployment, source)
    const staging = deployment.staging as Staging
    const ownDigest = await staging.writer.finish()
    const packed = packedFile(source)
    const checkSum = packed?.digest() ?? (ownDigest as string)
    for (const note of staging.notes) deployment.notes.add(note)
    assertDigest(checkSum, image.checkSum) // of the bytes as served, before anything trusts the content
    await assertSigned(deployment)
    noteWeakDigest(deployment)
    await staging.zeroRest()
    await staging.flush()
    await readBack(deployment, staging)
    const configDrive = buildDrive(options, staging.targets.sectorSize)
    const plans = await planPublication(deployment, staging, configDrive)
    const boot = await planBoot(deployment, staging)
    deployment.report.progress('config-drive')
    for (const plan of plans) await prepareDisk(plan, staging, configDrive)
    await askPermit(deployment)
    await publishBootAreas(deployment, staging.targets, plans)
    return {
      checkSum,
      checkSumType: checkSumTypeOf(options),
      bytesServed: packed?.received ?? staging.writer.position,
      virtualSize: staging.imageSize,
      written: staging.writer.written,
      seconds: (performance.now() - deployment.startedAt) / 1000,
      notes: [...deployment.notes],
      boot,
      disk: deployment.state,
    }
  } finally {
    await closeStaging(deployment)
    await source.close()
  }
}

/** Opens what is served, and what is packed in it. */
async function openImageSource(deployment: Deployment): Promise<MaybePacked> {
  const { options } = deployment
  const opened = await openSource(sourceOf(deployment))
  const source = deployment.trust?.watch(opened) ?? opened
  try {
    return await unpacking(source, {
      checkSumType: checkSumTypeOf(options),
      ramBytes: options.spoolBytes,
      largest: () => 2 * (deployment.targets?.size ?? UNPACKED_ROOM) + UNPACKED_ROOM,
    })
  } catch (error) {
    await source.close()
    throw error
  }
}

/**
 * Streams the image to the disk. The disk is touched only after everything that can be known before has been checked: with
 * Range requests that is the whole layout of the image, without them what its first MiB shows.
 */
async function writeAllButBootAreas(deployment: Deployment, source: MaybePacked): Promise<void> {
  const prepare = async (head: Buffer | null) => {
    deployment.report.progress('preflight-disk')
    const { image: request, spoolBytes } = deployment.options
    const image = await openImage(source, request.type, spoolBytes, head)
    const facts = await preflight(deployment, image)
    const packed = packedFile(source)
    if (packed) deployment.report.log(`The image is packed by ${packed.packing}.`)
    deployment.staging = await openStaging(
      deployment,
      image,
      facts,
      packed ? null : checkSumTypeOf(deployment.options),
    )
    return watched(deployment, source, deployment.staging)
  }
  if (source.ranged) return void (await source.stream(await prepare(null)))
  const headFirst = new HeadFirst(ringOf(deployment, true), prepare)
  try {
    await source.stream(headFirst)
    await headFirst.end()
  } finally {
    await headFirst.settle()
  }
}

/** Refuses what would fail later, with the disk untouched. */
async function preflight(deployment: Deployment, image: OpenedImage): Promise<[SizedFacts, ...SizedFacts[]]> {
  const { options } = deployment
  const { disk, mirrors = [] } = options
  const found = await inspectDisk(disk)
  const more = await Promise.all(mirrors.map((mirror) => inspectDisk(mirror)))
  assertMirrors([found, ...more])
  const configDrive = buildDrive(options, found.sectorSize)
  const sized = (facts: DiskFacts) => ({ ...facts, size: facts.size ?? sizeOfNewFile(image, configDrive) })
  const all: [SizedFacts, ...SizedFacts[]] = [sized(found), ...more.map(sized)]
  for (const facts of all) {
    if (image.virtualSize !== undefined && image.virtualSize > facts.size)
      throw tooSmall(image.virtualSize, facts)
  }
  if (!options.dataDisk) await lookAhead(options, image, all, configDrive)
  assertGoesOn(deployment)
  return all
}

/** Whether partition table and boot loaders will do for this server, as far as the image can be looked at yet. */
async function lookAhead(
  options: DeployOptions,
  { virtualSize, view }: OpenedImage,
  disks: [SizedFacts, ...SizedFacts[]],
  configDrive: Uint8Array | null,
): Promise<void> {
  const configDriveBytes = configDrive?.length ?? 0
  const { growLastPartition = false } = options
  const read = (offset: number, length: number) => view.read(offset, length)
  const sizes = new Set(disks.map(({ size }) => size))
  const smallest = Math.min(...sizes)
  const image: ImageReader = { imageSize: virtualSize ?? smallest, sectorSize: disks[0].sectorSize, read }
  for (const diskSize of virtualSize === undefined ? [] : sizes)
    await unlessUnseen(planBootAreas({ ...image, diskSize, configDriveBytes, growLastPartition }))
  await checkBoot(image, smallest, options)
}

/** Opens the disks and takes their old content away: from here on they do not boot until they are published. */
async function openStaging(
  deployment: Deployment,
  image: OpenedImage,
  facts: [SizedFacts, ...SizedFacts[]],
  checkSumType: CheckSumType | null,
): Promise<Staging> {
  const { report } = deployment
  const ring = ringOf(deployment, !image.placesData)
  const targets = (deployment.targets ??= await Targets.open(facts))
  for (const { facts: disk } of targets.disks)
    report.log(`Writing to ${disk.path}, ${disk.size} bytes, sectors of ${disk.sectorSize} bytes.`)
  const stale = await takeAwayOldContent(deployment, targets, image)
  const spool = new SpoolOnDisk(targets.first, stale.length === 0, targets.size)
  const decoder = image.newDecoder(targets.size, new Ring(ring), spool)
  return Staging.open({
    targets,
    decoder,
    clusterSize: image.clusterSize,
    ring,
    spool,
    threads: deployment.threads,
    checkSumType,
    stale,
  })
}

/** Returns the disks on which what is not written from now on does not read zero. */
async function takeAwayOldContent(
  deployment: Deployment,
  targets: Targets,
  image: OpenedImage,
): Promise<Disk[]> {
  if (deployment.state === 'untouched') deployment.state = 'unknown'
  await targets.each(async (disk) => {
    try {
      if (disk.facts.kind === 'file') await disk.makeHole()
      else await disk.zeroBootAreas()
    } catch (error) {
      throw ioFailure('WRITE', 'zeroing the boot areas of', disk.facts.path, error)
    }
  })
  deployment.state = 'unbootable'
  const length = Math.min(Math.ceil((image.virtualSize ?? 0) / BLOCK) * BLOCK, targets.size)
  const readsZero = await targets.each(async (disk) => {
    if (disk.facts.kind === 'file') return true
    return length > 0 && zeroOut(disk, length, deployment.options.signal)
  })
  return targets.disks.filter((_, index) => !readsZero[index])
}

function checkSumTypeOf({ image }: DeployOptions): CheckSumType {
  return image.checkSum?.type ?? 'sha256'
}

async function assertSigned({ trust, notes }: Deployment): Promise<void> {
  await trust?.assertSigned()
  for (const note of trust?.notes ?? []) notes.add(note)
}

/** MD5 and SHA-1 are in OVHcloud's contract, and tell accidents from the image that was meant, but not attacks. */
function noteWeakDigest({ options, notes }: Deployment): void {
  const type = options.image.checkSum?.type
  if (type === 'md5' || type === 'sha1')
    notes.add(`The checksum type ${type} is not collision-safe; prefer sha256.`)
}

async function readBack(deployment: Deployment, staging: Staging): Promise<void> {
  const isMedium = await staging.readBack((done, total) => deployment.report.progress('verify', done, total))
  if (!isMedium)
    deployment.notes.add('The disk was read back through the cache of the system, not from the medium.')
  assertGoesOn(deployment)
}

async function planPublication(
  { options, notes, report }: Deployment,
  staging: Staging,
  configDrive: Uint8Array | null,
): Promise<DiskPlan[]> {
  report.progress('move-gpt')
  const plans = await planDisks(staging, options, configDrive)
  for (const plan of plans) for (const note of plan.notes) notes.add(note)
  return plans
}

/** The last look: an image that came as a stream could not be looked into before. What fails here leaves a disk that does not boot. */
async function planBoot(
  { options, notes, report }: Deployment,
  staging: Staging,
): Promise<BootVerdict['boot']> {
  if (options.dataDisk) return null
  const { first, size } = staging.targets
  const verdict = await checkBoot(readerOf(staging), size, options).catch((error: unknown) => {
    if (error instanceof ImagingError) throw error
    throw ioFailure('WRITE', 'reading the boot loaders of', first.facts.path, error)
  })
  for (const note of verdict.notes) notes.add(note)
  if (verdict.boot)
    report.log(`The image boots ${verdict.boot.loader} of partition ${verdict.boot.esp.number}.`)
  return verdict.boot
}

async function askPermit(deployment: Deployment): Promise<void> {
  deployment.report.progress('publish')
  assertGoesOn(deployment)
  await deployment.options.permit?.()
  assertGoesOn(deployment)
}

/** The commit point. Where it fails, the boot areas of all disks are zeroed again if they still let us. */
async function publishBootAreas(deployment: Deployment, targets: Targets, plans: DiskPlan[]): Promise<void> {
  deployment.state = 'unknown'
  try {
    await publish(plans)
    deployment.state = 'complete'
  } catch (error) {
    await targets
      .each((disk) => disk.zeroBootAreas())
      .then(
        () => (deployment.state = 'unbootable'),
        () => undefined, // stays unknown; the first failure is the one to tell
      )
    throw error
  }
}

/** Kept over the attempts; an attempt that needs a larger one than the last makes it. */
function ringOf(deployment: Deployment, looksBack: boolean): RingShare {
  const bytes = Math.max(ringBytes(deployment.threads), looksBack ? LOOKBACK_RING_BYTES : 0)
  if (!deployment.ring || deployment.ring.memory.byteLength < bytes)
    deployment.ring = { memory: sharedPages(bytes) }
  return deployment.ring
}

function sourceOf({ options, report }: Deployment): OpenSourceRequest {
  const { image, addressPolicy: policy, signal } = options
  const { url, file, httpHeader, checkSum, signature } = image
  return {
    url,
    ...(file ? { file } : {}),
    httpHeader,
    policy,
    ...(signal ? { signal } : {}),
    hasCheckSum: checkSum !== null || Boolean(signature),
    onLog: (line) => report.log(line),
  }
}

/** Counts what arrives for the progress report. */
function watched(deployment: Deployment, source: MaybePacked, { writer }: Staging): RingSink {
  const packed = packedFile(source)
  const report = () => {
    const done = packed ? packed.received : writer.position
    deployment.report.progress('write', done, (packed ? packed.fileSize : source.size) ?? null)
  }
  return {
    get position() {
      return writer.position
    },
    reserve: () => writer.reserve(),
    commit(length) {
      writer.commit(length)
      report()
    },
  }
}

async function closeStaging(deployment: Deployment): Promise<void> {
  const ended = await deployment.staging?.close()
  deployment.staging = null
  if (ended === false) deployment.targets = null // a thread hangs in one: its descriptor must not become another file's
}

function buildDrive({ configDrive }: DeployOptions, sectorSize: 512 | 4096): Uint8Array | null {
  return configDrive && buildConfigDrive(configDrive, sectorSize)
}

/** A file without a size of its own gets the image's, and room for a config drive with its partition. */
function sizeOfNewFile({ virtualSize }: OpenedImage, configDrive: Uint8Array | null): number {
  if (virtualSize === undefined) {
    throw new ImagingError('DISK', {
      cause: 'The target file has no size, and how large the image is cannot be known beforehand.',
      remedy: 'Make the target file as large as the disk that it stands for.',
    })
  }
  const room = configDrive ? configDrive.length + 2 * BOOT_AREA : 0
  return Math.max(Math.ceil((virtualSize + room) / 4096) * 4096, SMALLEST_DISK)
}

function tooSmall(virtualSize: number, { path, size }: SizedFacts): ImagingError {
  return new ImagingError('DISK', {
    cause: `The image has ${virtualSize} bytes, while the disk ${path} has ${size}.`,
    remedy: 'Use a larger disk or a smaller image.',
  })
}

function gaveUp(last: ImagingError): ImagingError {
  return new ImagingError('DOWNLOAD', {
    cause: `The download had to begin again too often; the last time: ${last.cause}`,
    remedy: last.remedy,
    origin: last,
  })
}

function cancelled(): ImagingError {
  return new ImagingError('CANCELLED', { cause: 'The deployment was cancelled.', remedy: 'Start it again.' })
}

function assertGoesOn({ options }: Deployment): void {
  if (options.signal?.aborted) throw cancelled()
}

/** Whatever was thrown, as the engine's error, with the truth about the disk. */
function withDiskState(error: unknown, { options, state }: Deployment): ImagingError {
  const failure = options.signal?.aborted && state !== 'complete' ? cancelled() : asImagingError(error)
  failure.disk = state
  return failure
}

function asImagingError(error: unknown): ImagingError {
  if (error instanceof ImagingError) return error
  return internalError('The image engine failed', error)
}
