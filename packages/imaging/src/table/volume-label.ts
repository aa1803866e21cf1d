import { type ImageReader, readPadded } from './image-reader.ts'
import { isFileSystemBootSector } from './mbr.ts'

/**
 * Label of the ISO 9660 or FAT volume that begins at `offset` bytes of the image, without padding; undefined for anything
 * else. These two are what first-boot programs take for a config drive.
 */
export async function volumeLabel(image: ImageReader, offset: number): Promise<string | undefined> {
  // ECMA-119 8.4: the primary volume descriptor is the 17th sector of 2048 bytes; its volume identifier is at byte 40.
  const descriptor = Buffer.from(await readPadded(image, offset + 16 * 2048, 2048))
  if (descriptor.toString('latin1', 1, 6) === 'CD001') return trimmed(descriptor.subarray(40, 72))
  const boot = Buffer.from(await readPadded(image, offset, 512))
  if (!isFileSystemBootSector(boot) || boot.toString('latin1', 3, 11) === 'NTFS    ') return undefined
  return (await fatRootLabel(image, offset, boot)) ?? fatBootLabel(boot)
}

const trimmed = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('latin1')
    .replace(/[\0 ]+$/, '')

const sectorsPerFat16 = (boot: Buffer): number => boot.readUInt16LE(22)

const fatBootLabel = (boot: Buffer): string =>
  sectorsPerFat16(boot) === 0 ? trimmed(boot.subarray(71, 82)) : trimmed(boot.subarray(43, 54))

/** The label entry among the first 128 entries of the root directory, which wins over the boot sector's copy. */
async function fatRootLabel(image: ImageReader, offset: number, boot: Buffer): Promise<string | undefined> {
  const bytesPerSector = boot.readUInt16LE(11)
  const sectorsPerFat = sectorsPerFat16(boot) || boot.readUInt32LE(36)
  let rootSector = boot.readUInt16LE(14) + boot.readUInt8(16) * sectorsPerFat
  if (sectorsPerFat16(boot) === 0) rootSector += (boot.readUInt32LE(44) - 2) * boot.readUInt8(13)
  if (rootSector < 0) return undefined
  const root = await readPadded(image, offset + rootSector * bytesPerSector, 128 * 32)
  for (let at = 0; at < root.length && root[at] !== 0; at += 32) {
    const attributes = root[at + 11] ?? 0
    if (root[at] !== 0xe5 && (attributes & 0x3f) === 0x08) return trimmed(root.subarray(at, at + 11))
  }
  return undefined
}
