import { ImagingError } from '../error.ts'
import { BOOT_AREA, type BootAreas } from '../table/boot-areas.types.ts'
import { type ImageReader, unlessUnseen } from '../table/image-reader.ts'
import { planBootAreas } from '../table/plan-boot-areas.ts'
import type { InspectedDisk, Verdict } from './inspection.types.ts'

/** Room that the dry run gives an image beside its own size, where no disk is asked about. */
const ROOM = 4 * BOOT_AREA
/** A config drive whose content is below half a MiB. */
const CONFIG_DRIVE_BYTES = BOOT_AREA

export interface DiskJudgement {
  /** On any disk that is large enough; undefined where it cannot be looked at, or cannot be used. */
  areas: BootAreas | undefined
  target: InspectedDisk | null
  fits: Verdict | null
  refusal: ImagingError | null
  warnings: string[]
}

/** The dry run of what deployImage does with the partition table, on the disk that is asked about, if one is. */
export async function judgeDisk(
  image: ImageReader,
  virtualSize: number | null,
  asked: number | null,
): Promise<DiskJudgement> {
  const { sectorSize } = image
  const target: InspectedDisk | null =
    asked === null ? null : { size: asked, sectorSize, free: null, configDrive: null }
  const judgement: DiskJudgement = { areas: undefined, target, fits: null, refusal: null, warnings: [] }
  if (virtualSize === null) {
    const fits = target && verdict('unknown', 'How large the image is, the server does not tell beforehand.')
    return { ...judgement, fits }
  }
  try {
    judgement.areas = await dryRun(image, roomyDisk(virtualSize), 0)
    if (target) await judgeAsked(judgement, target, image)
  } catch (error) {
    if (!(error instanceof ImagingError)) throw error
    judgement.refusal = error
    judgement.fits = { answer: 'no', cause: error.cause, remedy: error.remedy }
  }
  return judgement
}

async function judgeAsked(
  judgement: DiskJudgement,
  target: InspectedDisk,
  image: ImageReader,
): Promise<void> {
  const areas = await dryRun(image, target.size, 0)
  if (!areas) {
    judgement.fits = verdict(
      'unknown',
      'The partition table could not be looked at, but the disk is large enough.',
    )
    return
  }
  const { partitions } = areas.table
  const last = Math.max(...partitions.map(({ offset, length }) => offset + length), 0)
  target.free = Math.max(0, target.size - BOOT_AREA - (partitions.length > 0 ? last : image.imageSize))
  judgement.fits = verdict('yes', 'The image fits this disk.')
  try {
    target.configDrive = (await dryRun(image, target.size, CONFIG_DRIVE_BYTES))?.configDrive ?? null
  } catch (error) {
    if (!(error instanceof ImagingError)) throw error
    judgement.warnings.push(`With a config drive it would be refused: ${error.cause} ${error.remedy}`)
  }
}

const roomyDisk = (imageSize: number): number => Math.ceil(imageSize / BOOT_AREA) * BOOT_AREA + ROOM

const dryRun = (image: ImageReader, diskSize: number, configDriveBytes: number) =>
  unlessUnseen(planBootAreas({ ...image, diskSize, configDriveBytes }))

const verdict = (answer: Verdict['answer'], cause: string): Verdict => ({ answer, cause, remedy: null })
