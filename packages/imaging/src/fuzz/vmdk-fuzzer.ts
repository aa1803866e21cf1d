import assert from 'node:assert/strict'
import type { ImageView, StreamDecoder } from '../decode/extent.ts'
import { ImagingError } from '../error.ts'
import { openVmdk } from '../pipeline/open-vmdk.ts'
import type { OpenedImage } from '../pipeline/opened-image.ts'
import type { ImageSource } from '../source/source.ts'
import { collectExtents, contentOf, SMALL_DISK } from './collect-extents.ts'
import type { Fuzzer } from './fuzzer.ts'
import { sourceOf } from '../decode/test-images.ts'
import { chanceOf } from './pieces.ts'
import { makeMutatedVmdk } from './vmdk-file.ts'

/** First bytes that a deployment looks at where it cannot read at will. */
const HEAD = 1024 * 1024

export const vmdkFuzzer: Fuzzer = {
  make: (random) => makeMutatedVmdk(random).file,
  check: (file) => checkOpened(file, openVmdk),
}

/** Reads an image as deployments do, which read at will or only the head first; stream and view must show the same disk. */
export async function checkOpened(
  file: Buffer,
  open: (source: ImageSource, head: Buffer | null) => Promise<OpenedImage>,
): Promise<void> {
  const random = chanceOf(file)
  const ranged = random.chance(0.7)
  const source = { ...sourceOf(file), shownUrl: '', ranged } as unknown as ImageSource
  const image = await open(source, ranged ? null : file.subarray(0, HEAD))
  // Neither format reads back what has gone past, or keeps it.
  const decoder = image.newDecoder(Number.MAX_SAFE_INTEGER, undefined as never, undefined as never)
  const { extents, ...collected } = collectExtents(withClusters(decoder, image.clusterSize), file, random)
  if (collected.virtualSize > SMALL_DISK) return
  const content = contentOf({ ...collected, extents })
  if (!ranged) return
  const seen = await seenBy(image.view as ImageView, collected.virtualSize)
  assert.ok(content.equals(seen), 'the view shows another disk')
}

/** What the stream shows, the view must show: it may not refuse. */
async function seenBy(view: ImageView, length: number): Promise<Uint8Array> {
  try {
    return await view.read(0, length)
  } catch (error) {
    if (error instanceof ImagingError) assert.fail(`the view refuses what the stream showed: ${error.cause}`)
    throw error
  }
}

/** The decoder itself with a getter's worth more: a copy would lose what it keeps to itself. */
function withClusters(decoder: StreamDecoder, clusterSize: number): StreamDecoder & { clusterSize: number } {
  return {
    clusterSize,
    virtualSize: decoder.virtualSize,
    get needsFrom() {
      return decoder.needsFrom
    },
    push: (bytes, offset) => decoder.push(bytes, offset),
    finish: (total) => decoder.finish(total),
  }
}
