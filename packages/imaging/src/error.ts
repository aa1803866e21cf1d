import type { CheckSumType } from './deploy-image.types.ts'

/** What the engine can end in. The sentences that callers show for these codes live in the contract package. */
export type ImagingCode =
  | 'DOWNLOAD'
  | 'RAM'
  | 'FORMAT'
  | 'SUMTYPE'
  | 'SUM'
  | 'TRUST'
  | 'WRITE'
  | 'GPT'
  | 'CFG'
  | 'TIMEOUT'
  | 'DISK'
  | 'BOOT'
  | 'CANCELLED'
  | 'INTERNAL'

/** `untouched`: nothing was written. `unbootable`: boot areas are zero. `complete`: verified and published. */
export type DiskState = 'untouched' | 'unbootable' | 'complete' | 'unknown'

export interface ImagingErrorOptions {
  /** One sentence: what happened. No secrets: URLs masked, no header values. */
  cause: string
  /** One sentence: what to change. */
  remedy: string
  /** SUM only: digests in lower-case hex, and their type. */
  got?: string
  expected?: string
  checkSumType?: CheckSumType
  /** Another attempt from byte 0 may succeed (the served file changed, the server cannot resume). */
  startAgain?: boolean
  origin?: unknown
}

/** Every failure of the engine. `deployImage` fills in `disk` before it lets one out. */
export class ImagingError extends Error {
  readonly code: ImagingCode
  override readonly cause: string
  readonly remedy: string
  readonly got: string | undefined
  readonly expected: string | undefined
  readonly checkSumType: CheckSumType | undefined
  readonly startAgain: boolean
  readonly origin: unknown
  disk: DiskState = 'unknown'

  constructor(code: ImagingCode, options: ImagingErrorOptions) {
    super(`${code}: ${options.cause}`)
    this.name = 'ImagingError'
    this.code = code
    this.cause = options.cause
    this.remedy = options.remedy
    this.got = options.got
    this.expected = options.expected
    this.checkSumType = options.checkSumType
    this.startAgain = options.startAgain ?? false
    this.origin = options.origin
  }
}

/** A fault of ours. `what` begins the sentence: "The image engine failed". */
export function internalError(what: string, origin: unknown): ImagingError {
  return new ImagingError('INTERNAL', {
    cause: `${what}: ${origin instanceof Error ? origin.message : String(origin)}.`,
    remedy: 'Look at the log, and report this with it.',
    origin,
  })
}
