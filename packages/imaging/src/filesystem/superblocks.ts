import { volumeLabel } from '../table/volume-label.ts'
import { isFileSystemBootSector } from '../table/mbr.ts'
import { openFat } from './fat.ts'
import { extTypeOf } from './ext-type.ts'
import { ntfsLabel } from './ntfs-label.ts'
import { unlessFault } from './file-tree.ts'
import type { Volume } from './volume.ts'

/** Names as blkid has them; FAT with the bits of its entries. */
export type VolumeType =
  | 'ext2'
  | 'ext3'
  | 'ext4'
  | 'fat12'
  | 'fat16'
  | 'fat32'
  | 'xfs'
  | 'btrfs'
  | 'ntfs'
  | 'swap'
  | 'LVM2_member'
  | 'crypto_LUKS'
  | 'iso9660'

/** What a partition holds. `label` and `uuid` are null where there is none; both are the image's words, unchecked. */
export interface VolumeIdentity {
  type: VolumeType
  label: string | null
  /** Spelled as blkid spells it. */
  uuid: string | null
}

/** A field of a superblock: where it is in the volume, in bytes, and how it is read. */
type Field = (volume: Volume) => Promise<string | null>

interface Superblock {
  /** Where its magic stands in the volume, in bytes; every character is one byte. */
  magicAt: number
  magic: string
  type: VolumeType | ((volume: Volume) => Promise<VolumeType | null>)
  label?: Field
  uuid?: Field
}

const text =
  (at: number, length: number, encoding: 'utf8' | 'latin1' = 'utf8'): Field =>
  async (volume) => {
    const bytes = await volume.read(at, length)
    const end = bytes.indexOf(0)
    return bytes.toString(encoding, 0, end === -1 ? length : end).trimEnd() || null
  }

const dashed = (digits: string, lengths: readonly number[]): string => {
  let at = 0
  return lengths.map((length) => digits.slice(at, (at += length))).join('-')
}

/** 16 bytes in the order in which they are written. */
const uuid =
  (at: number): Field =>
  async (volume) => {
    const bytes = await volume.read(at, 16)
    return bytes.every((byte) => byte === 0) ? null : dashed(bytes.toString('hex'), [8, 4, 4, 4, 12])
  }

/** LVM2, lib/format_text/layout.h: the header's offset stands at byte 20 of the label, its 32 characters go in seven groups. */
const lvmUuid =
  (labelAt: number): Field =>
  async (volume) => {
    const header = (await volume.read(labelAt + 20, 4)).readUInt32LE()
    const characters = (await volume.read(labelAt + header, 32)).toString('latin1')
    return dashed(characters, [6, 4, 4, 4, 4, 4, 6])
  }

/** The volume serial number, 8 bytes (FAT 4) in hexadecimal, the highest first. */
const ntfsSerial: Field = async (volume) => (await volume.read(72, 8)).reverse().toString('hex').toUpperCase()

/** LUKS1 has no label; LUKS2 has one of 48 bytes. */
const luksLabel: Field = async (volume) =>
  (await volume.read(6, 2)).readUInt16BE() === 2 ? await text(24, 48)(volume) : null

/** ECMA-119 8.4.26: when the volume was changed last, else when it was made, as `2026-11-26-03-55-42-00`. */
const isoDate: Field = async (volume) => {
  for (const at of [16 * 2048 + 830, 16 * 2048 + 813]) {
    const digits = (await volume.read(at, 16)).toString('latin1')
    if (/^\d{16}$/.test(digits) && !/^0+$/.test(digits)) return dashed(digits, [4, 2, 2, 2, 2, 2, 2])
  }
  return null
}

const fatLabel: Field = async (volume) => {
  const read = (offset: number, length: number): Promise<Buffer> => volume.read(offset, length)
  const label = await volumeLabel({ imageSize: volume.length, sectorSize: 512, read }, 0)
  return label === 'NO NAME' ? null : label || null
}

const fatSerial: Field = async (volume) => {
  const { bits } = await openFat(volume)
  const serial = await volume.read(bits === 32 ? 67 : 39, 4)
  const digits = serial.reverse().toString('hex').toUpperCase()
  return digits === '00000000' ? null : dashed(digits, [4, 4])
}

/** FAT has no magic of its own beside that of every boot sector. */
async function fatType(volume: Volume): Promise<VolumeType | null> {
  if (!isFileSystemBootSector(await volume.read(0, 512))) return null
  const fat = await unlessFault(openFat(volume))
  return fat && `fat${fat.bits}`
}

/** A swap area's magic stands at the end of its first page (Linux, include/linux/swap.h). */
const pageSizes = [4096, 8192, 16384, 65536]
/** An LVM2 label is in one of the first four sectors. */
const lvmSectors = [0, 1, 2, 3]

/**
 * What is recognised, in the order in which it is tried: what lies around others first, what has the weakest magic last, and
 * btrfs, whose superblock is the farthest, after that. Sources: LUKS1 and LUKS2 On-Disk Format Specification; LVM2,
 * lib/label/label.h; Linux, include/linux/swap.h; XFS Algorithms & Data Structures, "Superblocks"; NTFS boot sector as in
 * Linux, fs/ntfs3/ntfs.h; Linux, Documentation/filesystems/ext4/super.rst; ECMA-119, 8.4; Microsoft FAT 1.03; btrfs, "On-disk
 * Format", superblock.
 */
const superblocks: Superblock[] = [
  { type: 'crypto_LUKS', magicAt: 0, magic: 'LUKS\xba\xbe', label: luksLabel, uuid: text(168, 40) },
  ...lvmSectors.map(
    (sector): Superblock => ({
      type: 'LVM2_member',
      magicAt: sector * 512 + 24,
      magic: 'LVM2 001',
      uuid: lvmUuid(sector * 512),
    }),
  ),
  ...pageSizes.map(
    (page): Superblock => ({
      type: 'swap',
      magicAt: page - 10,
      magic: 'SWAPSPACE2',
      label: text(1024 + 28, 16),
      uuid: uuid(1024 + 12),
    }),
  ),
  { type: 'xfs', magicAt: 0, magic: 'XFSB', label: text(108, 12), uuid: uuid(32) },
  { type: 'ntfs', magicAt: 3, magic: 'NTFS    ', label: ntfsLabel, uuid: ntfsSerial },
  {
    type: extTypeOf,
    magicAt: 1024 + 56,
    magic: '\x53\xef',
    label: text(1024 + 120, 16),
    uuid: uuid(1024 + 104),
  },
  {
    type: 'iso9660',
    magicAt: 16 * 2048 + 1,
    magic: 'CD001',
    label: text(16 * 2048 + 40, 32, 'latin1'),
    uuid: isoDate,
  },
  { type: fatType, magicAt: 510, magic: '\x55\xaa', label: fatLabel, uuid: fatSerial },
  {
    type: 'btrfs',
    magicAt: 0x1_0000 + 64,
    magic: '_BHRfS_M',
    label: text(0x1_0000 + 299, 256),
    uuid: uuid(0x1_0000 + 32),
  },
]

/** What a volume is by its superblock; null where it is empty or nothing that is known here. */
export async function identifyVolume(volume: Volume): Promise<VolumeIdentity | null> {
  for (const { magicAt, magic, type: named, label, uuid: id } of superblocks) {
    const found = await unlessFault(volume.read(magicAt, magic.length))
    if (found?.toString('latin1') !== magic) continue
    const type = typeof named === 'string' ? named : await named(volume)
    if (type === null) continue
    return {
      type,
      label: (label && (await unlessFault(label(volume)))) ?? null,
      uuid: (id && (await unlessFault(id(volume)))) ?? null,
    }
  }
  return null
}
