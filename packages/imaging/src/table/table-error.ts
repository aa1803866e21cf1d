import { ImagingError } from '../error.ts'

/** The image's partition table cannot be moved to this disk. */
export const tableError = (cause: string, remedy: string): ImagingError =>
  new ImagingError('GPT', { cause, remedy })

/** The config drive cannot be put on this disk. */
export const configDriveError = (cause: string, remedy: string): ImagingError =>
  new ImagingError('CFG', { cause, remedy })
