import { ImagingError } from '../error.ts'

/** The sentence for images that qemu itself can mend. */
export const REPAIR =
  'Run "qemu-img check -r all" on the image and serve the repaired file, or convert it anew with qemu-img convert.'

/** The image is not what byoi accepts. `cause` and `remedy` are one sentence each. */
export function refuse(cause: string, remedy: string = REPAIR): ImagingError {
  return new ImagingError('FORMAT', { cause, remedy })
}

/** The image ends before data that it promises. */
export function cutOff(what: string): ImagingError {
  return refuse(
    `The image is cut off: ${what}.`,
    'Upload the image again, completely, and compare its checksum.',
  )
}

/** The bytes that went past are not those that the tables were read from. */
export function changed(what: string): ImagingError {
  return new ImagingError('DOWNLOAD', {
    cause: `The served file changed while it was read: ${what}.`,
    remedy:
      'Leave the file on the image server unchanged during a deployment, and start the deployment again.',
    startAgain: true,
  })
}
