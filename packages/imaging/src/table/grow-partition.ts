import { BOOT_AREA, type ImageAreas, type PartitionSummary } from './boot-areas.types.ts'
import { tableError } from './table-error.ts'

/** Partitions that grow end on a multiple of it, in bytes, as partitioning programs have them. */
const ALIGNMENT = 1024 * 1024

/** The last partition as it is to be. Bytes. */
export interface Growth {
  partition: PartitionSummary
  /** Its length from now on. */
  length: number
}

export const growRemedy =
  'Deploy without growing the last partition, or change the partition table of the image.'

/**
 * How far the partition that ends last can grow. By its end, not by its number: only behind that one lies no other partition,
 * and on Debian's cloud images it is number 1.
 *
 * @param partitions those that stay, without the config drive's
 * @param limits where other things begin: the config drive, what the table needs, the end of what it can address. Bytes; those
 * before the end of the last partition do not count.
 * @returns null where it reaches as far already, or there is none
 * @throws ImagingError GPT where it overlaps another one, so that which one was meant to grow is not known
 */
export function growLast(partitions: PartitionSummary[], limits: number[]): Growth | null {
  const [first, ...others] = partitions
  if (!first) return null
  const last = others.reduce((a, b) => (endOf(b) > endOf(a) ? b : a), first)
  const other = partitions.find((each) => each !== last && endOf(each) > last.offset)
  if (other) {
    throw tableError(
      `Partition ${last.number}, the last one of the image, overlaps partition ${other.number} and cannot grow.`,
      growRemedy,
    )
  }
  const limit = Math.min(...limits.filter((each) => each >= endOf(last)))
  const end = Math.floor(limit / ALIGNMENT) * ALIGNMENT
  if (!Number.isFinite(end) || end <= endOf(last)) return null
  return { partition: last, length: end - last.offset }
}

/**
 * Sees to it that the last MiB of a grown partition, as far as it is new, reads zero: RAID members have their mark at their
 * end, and one of an earlier owner must not be found there. Zeros in `tail`, in place, what lies in the disk's last MiB.
 *
 * @returns what remains to be zeroed outside of the boot areas
 */
export function wipeGrownEnd({ partition, length }: Growth, tail: ImageAreas['tail'], diskSize: number) {
  const end = partition.offset + length
  const from = Math.max(endOf(partition), end - BOOT_AREA)
  const tailAt = diskSize - BOOT_AREA
  if (end > tailAt) tail.fill(0, Math.max(from - tailAt, 0), end - tailAt)
  const [wipeFrom, wipeEnd] = [Math.max(from, BOOT_AREA), Math.min(end, tailAt)]
  return wipeFrom < wipeEnd ? { offset: wipeFrom, length: wipeEnd - wipeFrom } : null
}

/** What a reader of the result should know of it. */
export const growthNote = (growth: Growth | null): string =>
  growth
    ? `Partition ${growth.partition.number} was grown from ${growth.partition.length} to ${growth.length} bytes.`
    : 'The last partition could not grow: it ends where the free part of the disk ends.'

const endOf = ({ offset, length }: PartitionSummary): number => offset + length
