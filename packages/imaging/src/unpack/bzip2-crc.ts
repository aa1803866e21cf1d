const POLYNOMIAL = 0x04c11db7

/** By the highest byte: bzip2 takes each byte's most significant bit first, unlike zlib's CRC32. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ POLYNOMIAL : crc << 1
  return crc
})

/** Goes on from `crc`, which is 0xffffffff before the first byte and is inverted after the last. */
export function bzip2Crc(crc: number, bytes: Uint8Array): number {
  let state = crc
  for (const byte of bytes) state = (state << 8) ^ (TABLE[(state >>> 24) ^ byte] as number)
  return state
}
