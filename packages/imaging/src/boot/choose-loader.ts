import type { EfiBoot } from '../deploy-image.types.ts'
import { ImagingError } from '../error.ts'
import type { BootingServer } from './check-boot.ts'
import type { EfiLoader, EspContent } from './efi-loaders.ts'
import type { BootFacts } from './look-at-boot.ts'
import type { Cpu } from './pe-header.ts'

/** What firmware starts without a boot entry (UEFI specification 2.10, section 3.5.1.1). */
const removableMediaPaths = {
  x64: '\\EFI\\BOOT\\BOOTX64.EFI',
  arm64: '\\EFI\\BOOT\\BOOTAA64.EFI',
}
/** Paths that an error lists. */
const MOST_LISTED = 8

type Esp = NonNullable<BootFacts['esps']>[number]
type SeenEsp = Esp & { content: EspContent }

/**
 * What a UEFI server starts: the first EFI system partition that has it. `boot` is null where that is not known yet, or where
 * there is nothing and nobody asked.
 * @throws ImagingError BOOT when there is nothing to start
 */
export function chooseLoader(
  { esps }: BootFacts,
  { boot: firmware, efiBootloaderPath: asked, cpu }: BootingServer,
): { boot: EfiBoot | null; note: string | null } {
  const seen = (esps ?? []).filter((esp): esp is SeenEsp => esp.content !== undefined)
  for (const { partition, content } of seen) {
    const usable = content.loaders.filter((loader) => runsOn(loader, cpu))
    const loader = asked === null ? usable[0] : content.asked
    if (!loader || !runsOn(loader, cpu)) continue
    const boot = { esp: partition, loader: loader.path, loaders: usable.map(({ path }) => path) }
    return { boot, note: firmware === null ? null : noteOn(boot, cpu) }
  }
  const isUnknown = esps === undefined || seen.length < esps.length
  if (firmware === null || isUnknown) return { boot: null, note: null }
  if (seen.length === 0) {
    throw refuse(
      'The server boots by UEFI, and the image has no EFI system partition.',
      'Use an image that boots by UEFI, or a server that boots in legacy mode.',
    )
  }
  throw asked === null ? noLoader(seen, cpu) : notThere(seen, asked, cpu)
}

const runsOn = (loader: { cpu: Cpu | null }, cpu: Cpu | null): boolean =>
  loader.cpu !== null && (cpu === null || loader.cpu === cpu)

function noteOn({ loader, loaders }: EfiBoot, cpu: Cpu | null): string | null {
  const removable = Object.entries(removableMediaPaths).filter(([each]) => cpu === null || each === cpu)
  const [first] = removable
  const isThere = removable.some(([, path]) => loaders.some((each) => each.toUpperCase() === path))
  if (!first || isThere) return null
  return `The image has no ${first[1]}, so the server boots it only by a firmware boot entry for ${loader}.`
}

function noLoader(esps: SeenEsp[], cpu: Cpu | null): ImagingError {
  const loaders = esps.flatMap(({ content }) => content.loaders)
  if (loaders.length > 0) {
    return refuse(
      `The server's CPU is ${cpu}, and the image has no boot loader for it, only ${listed(loaders)}.`,
      `Use an image for ${cpu}.`,
    )
  }
  const numbers = esps.map(({ partition }) => partition.number).join(', ')
  return refuse(
    `The server boots by UEFI, and the image's EFI system partition (number ${numbers}) holds ${contentOf(esps)}.`,
    'Install a boot loader for UEFI in the image (for GRUB: grub-install --removable), or use a server that boots in legacy mode.',
  )
}

function notThere(esps: SeenEsp[], asked: string, cpu: Cpu | null): ImagingError {
  const found = esps.map(({ content }) => content.asked).find((each) => each !== null)
  const why = !found
    ? 'is not in the image'
    : found.cpu === null
      ? 'is no EFI program'
      : `is for the CPU ${found.cpu}, while the server's is ${cpu}`
  return refuse(
    `The boot loader ${asked} (efiBootloaderPath) ${why}; the image's EFI system partition holds ${contentOf(esps)}.`,
    'Give the path of a boot loader that is there, or leave efiBootloaderPath out.',
  )
}

function contentOf(esps: SeenEsp[]): string {
  const loaders = esps.flatMap(({ content }) => content.loaders)
  if (loaders.length > 0) return listed(loaders)
  const fault = esps.map(({ content }) => content.fault).find((each) => each !== null)
  return fault === undefined ? 'no boot loader' : `no boot loader: its file system ${fault}`
}

function listed(loaders: EfiLoader[]): string {
  const more = loaders.length - MOST_LISTED
  const names = loaders.slice(0, MOST_LISTED).map(({ path, cpu }) => `${path} (${cpu})`)
  return names.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const refuse = (cause: string, remedy: string): ImagingError => new ImagingError('BOOT', { cause, remedy })
