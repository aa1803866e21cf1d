import { UsageError } from './usage-error.ts'

const powers: Record<string, number> = { k: 1, m: 2, g: 3, t: 4, p: 5 }

/**
 * Bytes of a size as people write it: `12884901888`, `12G`, `12GiB`, `1.5TiB`. Units are binary: K, M, G, T and P, with or
 * without `iB` or `B`, mean powers of 1024, as qemu-img and lsblk take and print them. Throws UsageError for anything
 * else, for 0, for fractions of a byte, and above 2^53-1.
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text.trim())
  const bytes = Number(match?.[1]) * 1024 ** (powers[match?.[2]?.toLowerCase() ?? ''] ?? 0)
  if (!Number.isSafeInteger(bytes) || bytes === 0)
    throw new UsageError(`"${text}" is no size; write bytes or a binary unit, such as 12GiB, 512M or 4096.`)
  return bytes
}
