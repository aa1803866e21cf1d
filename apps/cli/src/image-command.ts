import { BadParameter, maskUrl } from '@byoi/contract'
import { type AddressPolicy, ImagingError } from '@byoi/imaging'
import { CommandFailed, type Context } from './context.ts'
import { parseLocation } from './parse-image.ts'
import { printJson } from './print.ts'
import { describeError, printError } from './show-error.ts'
import { UsageError } from './usage-error.ts'

/** A person may read from every address; agents follow the control plane's policy. */
export const everyAddress: AddressPolicy = {
  allow: ['0.0.0.0/0', '::/0'],
  deny: [],
  allowPrivate: true,
  denyPorts: [],
}

/** What the error sentences say about the image. */
interface ImageFacts {
  location: string
  type: string | undefined
  checksum: string | undefined
}

/** The image was looked at, and would be refused. What was found goes into the result beside the error. */
export class ImageRefused extends Error {
  readonly refusal: ImagingError
  readonly found: Record<string, unknown>

  constructor(refusal: ImagingError, found: Record<string, unknown>) {
    super(refusal.message)
    this.refusal = refusal
    this.found = found
  }
}

/**
 * Runs the image engine for `write` and `inspect`: its result, or its error of the catalogue, is one JSON object, the last
 * line of standard output. Wrong usage is thrown on, and nothing is printed for it.
 *
 * @param work Its result; null where a page has told everything already.
 */
export async function runImageCommand(
  image: ImageFacts,
  context: Context,
  work: () => Promise<Record<string, unknown> | null>,
): Promise<void> {
  const began = performance.now()
  try {
    const result = await work()
    if (result) printJson(result, context)
  } catch (thrown) {
    if (isNotToShow(thrown)) throw thrown
    const [error, found] = thrown instanceof ImageRefused ? [thrown.refusal, thrown.found] : [thrown, {}]
    const checkSumType = image.checksum?.split(':')[0]?.toLowerCase()
    const shown = describeError(error, {
      url: shownLocation(image.location),
      ...(image.type === undefined ? {} : { imageType: image.type }),
      ...(checkSumType === undefined ? {} : { checkSumType }),
    })
    const seconds = Math.round(performance.now() - began) / 1000
    const disk = error instanceof ImagingError ? error.disk : 'unknown'
    printError(shown, context)
    printJson({ status: 'error', format: image.type ?? null, ...found, seconds, error: shown, disk }, context)
    throw new CommandFailed('', { cause: error })
  }
}

/** Wrong usage is told elsewhere, and what a page has told is told. */
const isNotToShow = (thrown: unknown): boolean =>
  thrown instanceof UsageError || thrown instanceof BadParameter || thrown instanceof CommandFailed

/** Without the secrets that a URL may have. */
export function shownLocation(location: string): string {
  const { url, file } = parseLocation(location)
  return file ? url : maskUrl(url)
}
