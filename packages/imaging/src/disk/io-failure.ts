import { ImagingError, type ImagingCode } from '../error.ts'

const MEANING: Record<string, string> = {
  EIO: 'the disk reports an input/output error',
  ENOSPC: 'no space is left',
  EFBIG: 'the file may not grow that large',
  EROFS: 'it is read-only',
  EACCES: 'access is not allowed',
  EPERM: 'the operation is not allowed',
  ENOENT: 'there is no such file or device',
  ENXIO: 'the device is gone',
  ENODEV: 'the device is gone',
  EBUSY: 'it is in use',
  EISDIR: 'it is a directory',
  EINVAL: 'the device refused the request',
}

/** An error of the system as one of the engine. `doing` completes the sentence "Failed while ... the disk PATH". */
export function ioFailure(code: ImagingCode, doing: string, path: string, error: unknown): ImagingError {
  const { code: name = 'unknown error', message } = error as NodeJS.ErrnoException
  const meaning = MEANING[name] ?? (message || 'the system gave no reason')
  return new ImagingError(code, {
    cause: `Failed while ${doing} the disk ${path}: ${meaning} (${name}).`,
    remedy:
      REMEDY[name] ?? 'Check the disk, its cabling and the kernel log, then try again or use another disk.',
    origin: error,
  })
}

const REMEDY: Record<string, string> = {
  ENOSPC: 'Free space where the target is stored, or use another target.',
  EFBIG: 'Raise the file size limit, or use another target.',
  EACCES: 'Run with the right to write to the disk.',
  EPERM: 'Run with the right to write to the disk.',
  EROFS: 'Make the disk writable.',
  ENOENT: 'Name a disk or file that exists.',
  EBUSY: 'Stop what uses the disk.',
}
