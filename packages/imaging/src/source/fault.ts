import { ImagingError, type ImagingCode } from '../error.ts'

/** A failure that another attempt may mend: the connection broke, or the server says that it is busy. */
export class Lost extends Error {
  readonly code: ImagingCode
  override readonly cause: string
  readonly remedy: string
  /** How long the server asked us to wait, in ms. */
  readonly retryAfter: number | undefined

  constructor(code: ImagingCode, cause: string, remedy: string, retryAfter?: number) {
    super(cause)
    this.name = 'Lost'
    this.code = code
    this.cause = cause
    this.remedy = remedy
    this.retryAfter = retryAfter
  }

  /** The same as a final error, once no attempt is left. */
  asError(): ImagingError {
    return new ImagingError(this.code, { cause: this.cause, remedy: this.remedy })
  }
}

export const checkServer =
  'Check that the image server runs and that the server being deployed can reach it, then try again.'

/** The image cannot be had, and asking again would not help. */
export const refused = (cause: string, remedy: string): ImagingError =>
  new ImagingError('DOWNLOAD', { cause, remedy })

/** What was delivered so far cannot be completed; a new start from byte 0 may succeed. */
export const startAgain = (cause: string, remedy: string): ImagingError =>
  new ImagingError('DOWNLOAD', { cause, remedy, startAgain: true })

/** `what` completes the sentence "The server's answer is not valid HTTP: ...". */
export const badHttp = (what: string): ImagingError =>
  refused(
    `The server's answer is not valid HTTP: ${what}.`,
    'Check that the URL leads to an HTTP server and that no proxy in between damages answers.',
  )

export const cancelled = (): ImagingError =>
  new ImagingError('CANCELLED', {
    cause: 'Fetching the image was stopped on request.',
    remedy: 'Start the deployment again if the image is still wanted.',
  })
