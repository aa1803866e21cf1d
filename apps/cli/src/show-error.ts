import { ApiError, BadParameter, type ErrorCode, errorMessage } from '@byoi/contract'
import { ImagingError } from '@byoi/imaging'
import { CommandFailed, type Context } from './context.ts'
import { UsageError } from './usage-error.ts'

/** A failure as it is shown: the catalogue's four texts. */
export interface ShownError {
  code: string
  message: string
  cause: string
  remedy: string
}

/** Prints an error on standard error and returns the exit status: 1 failed, 2 wrong usage. */
export function showError(error: unknown, context: Context): 1 | 2 {
  if (error instanceof CommandFailed) return 1
  if (error instanceof UsageError) {
    context.stderr.write(`error: ${error.message}\n`)
    return 2
  }
  if (error instanceof BadParameter) {
    context.stderr.write(`error: ${error.message}\n  ${error.reason}\n  ${error.remedy}\n`)
    return 2
  }
  printError(describeError(error), context)
  return 1
}

export function printError(shown: ShownError, context: Context): void {
  const more = [shown.cause, shown.remedy].filter((line) => line !== '' && line !== shown.message)
  context.stderr.write(`error: ${[shown.message, ...more].join('\n  ')}\n`)
}

/** The four texts of anything thrown. An ImagingError's sentence needs `facts` of the image. */
export function describeError(error: unknown, facts: Parameters<typeof errorMessage>[1] = {}): ShownError {
  if (error instanceof ImagingError) {
    const { code, cause, remedy, got, expected, checkSumType } = error
    const known = {
      ...facts,
      ...(got === undefined ? {} : { got }),
      ...(expected === undefined ? {} : { expected }),
      ...(checkSumType === undefined ? {} : { checkSumType }),
    }
    return { code, message: errorMessage(code, known), cause, remedy }
  }
  if (error instanceof ApiError) {
    return {
      code: error.errorCode ?? `HTTP ${error.status}`,
      message: error.message,
      cause: error.reason ?? '',
      remedy: error.remedy ?? '',
    }
  }
  const code: ErrorCode = 'INTERNAL'
  return {
    code,
    message: errorMessage(code),
    cause: error instanceof Error ? error.message : String(error),
    remedy: 'Run the command again; if it fails the same way, report this text to the makers of byoi.',
  }
}
