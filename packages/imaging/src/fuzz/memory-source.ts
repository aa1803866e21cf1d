import type { RangedSource } from '../decode/qcow2-map.ts'

/** A file in memory that is read at will, and never past its end. */
export const memorySource = (file: Buffer): RangedSource => ({
  size: file.length,
  readAt(offset, into) {
    if (offset < 0 || offset + into.length > file.length)
      return Promise.reject(new RangeError(`reads ${into.length} bytes at ${offset} of ${file.length}`))
    into.set(file.subarray(offset, offset + into.length))
    return Promise.resolve()
  },
})
