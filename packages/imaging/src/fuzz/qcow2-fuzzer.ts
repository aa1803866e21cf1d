import assert from 'node:assert/strict'
import { headerBytes } from '../decode/qcow2-header.ts'
import { readQcow2Map } from '../decode/qcow2-map.ts'
import { PlannedQcow2Decoder } from '../decode/qcow2-planned.ts'
import { UnplannedQcow2Decoder } from '../decode/qcow2-unplanned.ts'
import { openQcow2View } from '../decode/qcow2-view.ts'
import { ImagingError } from '../error.ts'
import { type Collected, collectExtents, contentOf, SMALL_DISK } from './collect-extents.ts'
import type { Fuzzer } from './fuzzer.ts'
import { sourceOf } from '../decode/test-images.ts'
import { bendField, damage, type Field, mutated, readField, writeField } from './mutate.ts'
import { chanceOf } from './pieces.ts'
import { makeQcow2, type Qcow2Image } from './qcow2-image.ts'
import type { Random } from './random.ts'

const MAP_BYTES = 32 * 1024 * 1024
const SPOOL_BYTES = 4 * 1024 * 1024

/** A sound image with up to four changes. */
export function makeMutatedQcow2(random: Random): Buffer {
  const image = makeQcow2(random)
  const fields = [image.header, image.l1, image.l2, image.refcountTable, image.refcounts]
  const entries = [...image.l1, ...image.l2]
  const all = fields.flat()
  const bend = (from: Field[]) => (file: Buffer) => {
    if (from.length > 0) bendField(file, random.pick(from), all, 'big', random)
    return file
  }
  return mutated(image.file, random, [
    bend(image.header),
    bend(image.header),
    bend(image.l1),
    bend(image.l2),
    bend(image.refcountTable),
    bend(image.refcounts),
    (file) => flip(file, entries, random),
    (file) => swap(file, entries, random),
    (file) => pointElsewhere(file, image, entries, random),
    (file) => pointElsewhere(file, image, entries, random),
    (file) => file.subarray(0, random.between(0, file.length / image.clusterSize) * image.clusterSize),
    (file) => damage(file, random),
  ])
}

/** One of the bits that mean something, or must not be set. */
function flip(file: Buffer, entries: Field[], random: Random): Buffer {
  if (entries.length === 0) return file
  const field = random.pick(entries)
  const bit = BigInt(random.pick([0, 1, 8, 9, 55, 56, 60, 61, 62, 63]))
  writeField(file, field, readField(file, field, 'big') ^ (1n << bit), 'big')
  return file
}

function swap(file: Buffer, entries: Field[], random: Random): Buffer {
  if (entries.length === 0) return file
  const [one, other] = [random.pick(entries), random.pick(entries)]
  const values = [readField(file, one, 'big'), readField(file, other, 'big')] as const
  writeField(file, one, values[1], 'big')
  writeField(file, other, values[0], 'big')
  return file
}

/** Another cluster of the file, or one near its end; a compressed one also inside of a cluster, with any length. */
function pointElsewhere(file: Buffer, image: Qcow2Image, entries: Field[], random: Random): Buffer {
  if (entries.length === 0) return file
  const field = random.pick(entries)
  const cluster = BigInt(random.between(0, file.length / image.clusterSize + 1) * image.clusterSize)
  const entry = random.pick([
    () => (readField(file, field, 'big') & ~0x00ff_ffff_ffff_fe00n) | cluster,
    () => (1n << 63n) | cluster,
    () =>
      (1n << 62n) |
      (cluster + BigInt(random.below(image.clusterSize))) |
      (BigInt(random.below(8)) << BigInt(70 - Math.log2(image.clusterSize))),
  ])()
  writeField(file, field, entry, 'big')
  return file
}

/** Both ways to decode, planned by ranged reads and not, and reading at will: all must see the same disk, or refuse. */
export const qcow2Fuzzer: Fuzzer = {
  make: makeMutatedQcow2,
  async check(file) {
    await readQcow2(file)
  },
}

/** The disk that all see; null where it is too large to be made. Throws ImagingError where the image is refused. */
export async function readQcow2(file: Buffer): Promise<Buffer | null> {
  const random = chanceOf(file)
  const source = sourceOf(file)
  const [planned, plannedError] = await outcomeOf(async () => {
    const map = await readQcow2Map(source, { budgetBytes: MAP_BYTES })
    return map && { map, collected: collectExtents(new PlannedQcow2Decoder(map), file, random) }
  })
  // As from a server that tells the length of the file, or does not.
  const size = random.chance(0.5) ? file.length : undefined
  const [collected, error] = await outcomeOf(() =>
    collectExtents(unplanned(file, size, random), file, random),
  )
  if (error?.code !== 'RAM' && planned !== null) {
    assert.equal(error?.code, plannedError?.code, `planned: ${plannedError?.cause}, else: ${error?.cause}`)
    if (planned && collected) assert.deepEqual(placesOf(collected), placesOf(planned.collected))
  }
  if (plannedError) throw plannedError
  if (!planned) throw new TypeError('a map of a small file does not fit its budget')
  const { virtualSize } = planned.collected
  if (virtualSize > SMALL_DISK) return null
  const [content, contentError] = await outcomeOf(() => contentOf(planned.collected))
  const [seen, seenError] = await outcomeOf(() => openQcow2View(source, planned.map).read(0, virtualSize))
  assert.equal(seenError?.cause, contentError?.cause)
  if (contentError) throw contentError
  assert.ok(seen && content.equals(seen), 'the view shows another disk')
  return content
}

function unplanned(file: Buffer, fileSize: number | undefined, random: Random): UnplannedQcow2Decoder {
  const head = file.subarray(0, file.length >= 24 ? headerBytes(file) : file.length)
  const decoder: UnplannedQcow2Decoder = new UnplannedQcow2Decoder(head, {
    spoolBytes: SPOOL_BYTES,
    store: null,
    fileSize,
    lookBehind: random.pick([0, 0, 4096, 1 << 20]),
    read(offset, length) {
      assert.ok(offset >= decoder.needsFrom, `reads ${offset}, held from ${decoder.needsFrom}`)
      return file.subarray(offset, offset + length)
    },
  })
  return decoder
}

/** How long the served bytes of a compressed cluster are is an upper bound, and so may differ. */
const placesOf = ({ virtualSize, extents }: Collected) => [
  virtualSize,
  extents.map(({ disk, size, source, codec }) => `${disk} ${size} ${source} ${codec}`),
]

/** What it gives, or the ImagingError that it throws. */
async function outcomeOf<T>(
  run: () => T | Promise<T>,
): Promise<[result: T, error: undefined] | [result: undefined, error: ImagingError]> {
  try {
    return [await run(), undefined]
  } catch (error) {
    if (error instanceof ImagingError) return [undefined, error]
    throw error
  }
}
