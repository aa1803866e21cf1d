import { crc32 } from 'node:zlib'
import type { BootAreasInput } from '../boot-areas.types.ts'
import { encodeGptEntry, encodeGptHeader, type GptHeader } from '../gpt.ts'
import { guidBytes, randomGuid } from '../guid.ts'
import { protectiveMbr } from '../mbr.ts'

export const MiB = 1024 * 1024
export const linuxType = '0fc63daf-8483-4772-8e79-3d69d8477de4'

export interface TestGpt {
  sectorSize?: 512 | 4096
  size?: number
  entryCount?: number
  entrySize?: number
  /** First and last LBA, inclusive. */
  partitions?: { start: number; end: number; slot?: number; name?: string; type?: Uint8Array }[]
  /** Changes of the headers before their CRCs are made. */
  primary?: Partial<GptHeader>
  backup?: Partial<GptHeader>
}

/** An image with a sound GPT, unless `primary` or `backup` say otherwise. */
export function makeGpt(options: TestGpt = {}): Buffer {
  const { sectorSize = 512, size = 4 * MiB, entryCount = 128, entrySize = 128 } = options
  const { partitions = [{ start: MiB / sectorSize, end: (2 * MiB) / sectorSize - 1 }] } = options
  const image = Buffer.alloc(size)
  const lastLba = size / sectorSize - 1
  const sectors = Math.ceil((entryCount * entrySize) / sectorSize)
  const array = Buffer.alloc(entryCount * entrySize)
  partitions.forEach(({ start, end, slot, name = '', type = guidBytes(linuxType) }, index) => {
    const entry = { type, guid: randomGuid(), startLba: start, endLba: end, name }
    array.set(encodeGptEntry(entry, entrySize), ((slot ?? index + 1) - 1) * entrySize)
  })
  const primary: GptHeader = {
    headerSize: 92,
    myLba: 1,
    alternateLba: lastLba,
    firstUsableLba: 2 + sectors,
    lastUsableLba: lastLba - sectors - 1,
    diskGuid: randomGuid(),
    entriesLba: 2,
    entryCount,
    entrySize,
    entriesCrc: crc32(array),
    extra: new Uint8Array(0),
  }
  const backup = { ...primary, myLba: lastLba, alternateLba: 1, entriesLba: lastLba - sectors }
  image.set(protectiveMbr(Buffer.alloc(512), lastLba + 1, lastLba + 1).mbr)
  for (const [header, changes] of [
    [primary, options.primary],
    [backup, options.backup],
  ] as const) {
    image.set(array, header.entriesLba * sectorSize)
    image.set(encodeGptHeader({ ...header, ...changes }, sectorSize), header.myLba * sectorSize)
  }
  return image
}

/** An MBR image; entries are `[slot, type, start, sectors]` in sectors of 512 bytes. */
export function makeMbr(
  entries: [slot: number, type: number, start: number, sectors: number][],
  size = 4 * MiB,
): Buffer {
  const image = Buffer.alloc(size)
  putPartitions(image, 0, entries)
  return image
}

/** Writes a partition sector (MBR or EBR) at an LBA of 512 bytes. */
export function putPartitions(
  image: Buffer,
  lba: number,
  entries: [slot: number, type: number, start: number, sectors: number][],
): void {
  for (const [slot, type, start, sectors] of entries) {
    const at = lba * 512 + 446 + (slot - 1) * 16
    image.writeUInt8(type, at + 4)
    image.writeUInt32LE(start, at + 8)
    image.writeUInt32LE(sectors, at + 12)
  }
  image.set([0x55, 0xaa], lba * 512 + 510)
}

/** What `planBootAreas` asks for, over an image in memory. Refuses reads past its end, as the seam demands. */
export const inputFor = (image: Buffer, changes: Partial<BootAreasInput> = {}): BootAreasInput => ({
  imageSize: image.length,
  diskSize: image.length + 8 * MiB,
  sectorSize: 512,
  configDriveBytes: 0,
  read: async (offset, length) => {
    if (offset < 0 || offset + length > image.length) throw new RangeError(`read of ${length} at ${offset}`)
    return image.subarray(offset, offset + length)
  },
  ...changes,
})
