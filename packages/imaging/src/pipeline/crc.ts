import { crc32 } from 'node:zlib'

/**
 * CRC-32 (reflected 0xEDB88320) without its usual start value and inversion. In this form it is linear: the CRC of a
 * region is the exclusive or of the CRCs of its pieces, each moved to its place by `shiftCrc`, in any order, and zeros
 * add nothing. So pieces can be written by several threads and in any sizes, and still be compared as one region.
 */
export function linearCrc(bytes: Uint8Array): number {
  return (crc32(bytes, 0xffff_ffff) ^ 0xffff_ffff) >>> 0
}

/** The linear CRC of the same bytes followed by `zeros` zero bytes, 0 <= zeros < 2^32. */
export function shiftCrc(crc: number, zeros: number): number {
  let shifted = crc
  for (let bit = 0, left = zeros; left !== 0; bit++, left >>>= 1) {
    if (left & 1) shifted = multiply(shifted, power(bit))
  }
  return shifted
}

/** x^(8 * 2^bit) modulo the polynomial, by squaring; made when first needed. */
const powers: number[] = [0x0080_0000]

function power(bit: number): number {
  for (let known = powers.length; known <= bit; known++) {
    const half = powers[known - 1] as number
    powers.push(multiply(half, half))
  }
  return powers[bit] as number
}

/** Product of two polynomials over GF(2) modulo the CRC's; bit 31 is x^0, as in every reflected CRC. */
function multiply(a: number, b: number): number {
  let product = 0
  let term = b
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= term
    term = term & 1 ? (term >>> 1) ^ 0xedb8_8320 : term >>> 1
  }
  return product >>> 0
}
