import { findDisk } from '../decode/ova/find-disk.ts'
import { OvaDecoder } from '../decode/ova/ova-stream.ts'
import { pullStory } from '../decode/pull-story.ts'
import { cutOff, refuse } from '../decode/refuse.ts'
import { SECTOR } from '../decode/vmdk-header.ts'
import { VmdkDecoder } from '../decode/vmdk-stream.ts'
import { openVmdkView } from '../decode/vmdk-view.ts'
import type { ImageSource } from '../source/source.ts'
import { type OpenedImage, unseen } from './opened-image.ts'

/** A streamOptimized VMDK. `head`: the first bytes, for a source that cannot be read at will. Throws ImagingError. */
export async function openVmdk(source: ImageSource, head: Buffer | null): Promise<OpenedImage> {
  const start = await readerOf(source, head)(0, SECTOR)
  return await opened(source, head, 0, source.size, new VmdkDecoder(start), () => new VmdkDecoder(start))
}

/** An OVA: everything that stands before its disk is judged here. Throws ImagingError. */
export async function openOva(source: ImageSource, head: Buffer | null): Promise<OpenedImage> {
  const read = readerOf(source, head)
  const { member, ovf } = await pullStory(findDisk(), read)
  const start = await read(member.start, Math.min(SECTOR, member.size))
  const decoder = new OvaDecoder(start)
  decoder.checkCapacity(ovf.capacity)
  return await opened(source, head, member.start, member.size, decoder, () => new OvaDecoder(start))
}

/** `base` and `size`: where the VMDK stands in the served file, in bytes. */
async function opened(
  source: ImageSource,
  head: Buffer | null,
  base: number,
  size: number | undefined,
  { virtualSize, clusterSize }: VmdkDecoder | OvaDecoder,
  newDecoder: OpenedImage['newDecoder'],
): Promise<OpenedImage> {
  if (size !== undefined && base + size > (source.size ?? base + size))
    throw cutOff('it ends before its disk does')
  const part = {
    size: size ?? 0,
    readAt: (offset: number, into: Uint8Array) => source.readAt(base + offset, into),
  }
  return {
    virtualSize,
    clusterSize,
    header: null,
    stored: null,
    // Each grain's marker goes just before it.
    placesData: true,
    view: head === null && size !== undefined ? await openVmdkView(part) : { read: unseen },
    newDecoder,
  }
}

/** Reads at will, or from the head of a stream. Throws ImagingError FORMAT where the head does not reach. */
function readerOf(source: ImageSource, head: Buffer | null) {
  return async (from: number, length: number): Promise<Uint8Array> => {
    const end = from + length
    if (source.size !== undefined && end > source.size) throw cutOff('it ends before its disk begins')
    if (head === null) {
      const bytes = new Uint8Array(length)
      await source.readAt(from, bytes)
      return bytes
    }
    if (end > head.length) {
      throw refuse(
        'The disk does not begin in the first MiB of the OVA, which is packed or whose server does not support Range requests.',
        'Pack the OVA anew with the disk right behind its descriptor, or serve it as it is and with Range support.',
      )
    }
    return head.subarray(from, end)
  }
}
