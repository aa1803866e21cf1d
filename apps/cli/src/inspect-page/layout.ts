import type { Inspection } from '@byoi/imaging'

export interface Segment {
  kind: 'table' | 'partition' | 'free' | 'config drive' | 'backup GPT'
  /** What stands under it: the partition's number, or a letter. */
  mark: string
  /** Bytes. */
  offset: number
  length: number
}

/** Gaps below this are alignment, and not shown. */
const SMALLEST_GAP = 1024 * 1024
/** A GPT in sectors of 512 bytes: a header and 128 entries. */
const BACKUP_BYTES = 33 * 512

/**
 * What lies where on the disk that was asked about, else in the image, from begin to end without overlap. Null where there is no
 * partition table, or it is not known how large the disk or the image is.
 */
export function segmentsOf({ table, virtualSize, target }: Inspection): Segment[] | null {
  if (!table || table.kind === 'none' || virtualSize === null) return null
  const drive = target?.configDrive ?? null
  const size = Math.max(target?.size ?? 0, virtualSize)
  const things: Segment[] = table.partitions
    .filter(({ typeName }) => typeName !== 'extended')
    .map(({ number, offset, length }) => ({ kind: 'partition', mark: String(number), offset, length }))
  if (drive) things.push({ kind: 'config drive', mark: 'c', ...drive })
  if (table.kind === 'gpt')
    things.push({ kind: 'backup GPT', mark: 'g', offset: size - BACKUP_BYTES, length: BACKUP_BYTES })
  things.sort((a, b) => a.offset - b.offset)
  const begin = Math.min(things[0]?.offset ?? size, SMALLEST_GAP)
  const segments: Segment[] = [{ kind: 'table', mark: 't', offset: 0, length: begin }]
  let end = begin
  for (const thing of things) {
    if (thing.offset - end >= SMALLEST_GAP) segments.push(freeSegment(end, thing.offset))
    segments.push(thing)
    end = thing.offset + thing.length
  }
  if (size - end >= SMALLEST_GAP) segments.push(freeSegment(end, size))
  return segments
}

const freeSegment = (from: number, to: number): Segment => ({
  kind: 'free',
  mark: '',
  offset: from,
  length: to - from,
})

/** How many of `width` cells each takes: to scale, but one at least. Null where there are more segments than cells. */
export function cellsOf(lengths: number[], width: number): number[] | null {
  if (lengths.length > width) return null
  const total = lengths.reduce((sum, length) => sum + length, 0)
  const shares = lengths.map((length) => (total > 0 ? (length / total) * width : 0))
  const cells = shares.map((share) => Math.max(1, Math.floor(share)))
  const sum = (): number => cells.reduce((a, b) => a + b, 0)
  /** Changes the one that is farthest from its share. */
  const change = (by: 1 | -1): void => {
    const gaps = cells.map((count, index) =>
      by === -1 && count === 1 ? -Infinity : by * ((shares[index] ?? 0) - count),
    )
    const index = gaps.indexOf(Math.max(...gaps))
    cells[index] = (cells[index] ?? 0) + by
  }
  while (sum() > width) change(-1)
  while (sum() < width) change(1)
  return cells
}
