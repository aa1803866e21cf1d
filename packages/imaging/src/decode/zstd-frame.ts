const MAGIC = 0xfd2fb528
const MAX_BLOCK = 128 * 1024

/**
 * Length in bytes of the zstd frame that `bytes` begins with, by its block headers (RFC 8878, section 3.1.1); undefined
 * when it is no frame or does not end within `bytes`.
 */
export function zstdFrameLength(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < 6 || view.getUint32(0, true) !== MAGIC) return undefined
  const descriptor = view.getUint8(4)
  const single = (descriptor >> 5) & 1
  const dictionary = [0, 1, 2, 4][descriptor & 3] as number
  const contentSize = [single, 2, 4, 8][descriptor >> 6] as number
  let at = 5 + (1 - single) + dictionary + contentSize
  for (let last = false; !last; ) {
    if (at + 3 > view.byteLength) return undefined
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    last = (header & 1) === 1
    const type = (header >> 1) & 3 // 0 raw, 1 one byte repeated, 2 compressed, 3 reserved
    const size = header >>> 3
    if (type === 3 || size > MAX_BLOCK) return undefined
    at += 3 + (type === 1 ? 1 : size)
  }
  if ((descriptor >> 2) & 1) at += 4 // checksum
  return at > view.byteLength ? undefined : at
}
