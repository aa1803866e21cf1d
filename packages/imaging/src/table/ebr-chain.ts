import { decodeMbrEntries, hasBootSignature, isExtended, type MbrEntry } from './mbr.ts'

/** More logical partitions than any system numbers; a chain that is longer was made to be. */
const maxLogical = 256

export type EbrChain = { partitions: MbrEntry[] } | { fault: string }

/**
 * Follows the chain of extended boot records of one extended partition. Each record's first entry is a logical partition,
 * relative to the record; its second leads to the next record, relative to the extended partition. Bounded: a chain that
 * returns to a record, leaves the extended partition or does not end is a fault.
 *
 * @param readSector the 512 bytes at an LBA; undefined past the end of the image
 * @returns partitions numbered from `firstNumber`, with absolute starts
 */
export async function walkEbrChain(
  extended: MbrEntry,
  firstNumber: number,
  readSector: (lba: number) => Promise<Uint8Array | undefined>,
): Promise<EbrChain> {
  const partitions: MbrEntry[] = []
  const seen = new Set<number>()
  let lba: number | undefined = extended.startLba
  while (lba !== undefined) {
    if (seen.has(lba)) return { fault: `the chain of logical partitions loops at LBA ${lba}` }
    if (seen.size === maxLogical)
      return { fault: `the chain of logical partitions has more than ${maxLogical} links` }
    if (lba >= extended.startLba + extended.sectors) {
      return { fault: `the chain of logical partitions leaves its extended partition for LBA ${lba}` }
    }
    seen.add(lba)
    const sector = await readSector(lba)
    if (!sector)
      return { fault: `the chain of logical partitions leads to LBA ${lba}, past the end of the image` }
    if (!hasBootSignature(sector)) break
    const entries = decodeMbrEntries(sector)
    const logical = entries.find((entry) => !isExtended(entry) && entry.sectors > 0)
    if (logical) {
      partitions.push({
        ...logical,
        number: firstNumber + partitions.length,
        startLba: lba + logical.startLba,
      })
    }
    const next = entries.find((entry) => isExtended(entry) && entry.sectors > 0)
    lba = next && extended.startLba + next.startLba
  }
  return { partitions }
}
