import { randomUUID } from 'node:crypto'

/**
 * GUIDs as they stand on disk: the first three fields little-endian, the rest in order (UEFI specification 2.10,
 * appendix A).
 */
const byteOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]

/** Text form in lower case, like `0fc63daf-8483-4772-8e79-3d69d8477de4`, of the 16 bytes at `bytes`. */
export const guidText = (bytes: Uint8Array): string => {
  const hex = byteOrder.map((at) => (bytes[at] ?? 0).toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The 16 bytes of a GUID in text form. */
export const guidBytes = (text: string): Uint8Array => {
  const hex = Buffer.from(text.replaceAll('-', ''), 'hex')
  const bytes = new Uint8Array(16)
  byteOrder.forEach((at, index) => {
    bytes[at] = hex[index] ?? 0
  })
  return bytes
}

export const randomGuid = (): Uint8Array => guidBytes(randomUUID())
