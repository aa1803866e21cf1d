import { type Volume, VolumeFault } from './volume.ts'

/**
 * ext2, ext3 and ext4, read only: enough to list a directory and to read a small file (Linux, Documentation/filesystems/ext4). A journal that was not
 * replayed is passed over, checksums are not checked: what is read decides nothing but a hint.
 */
export interface ExtVolume {
  volume: Volume
  blockSize: number
  inodeSize: number
  inodesPerGroup: number
  inodes: number
  /** Byte at which the group descriptors begin, and bytes of one. */
  descriptorsAt: number
  descriptorSize: number
  has64BitBlocks: boolean
  hasFileTypes: boolean
}

export interface ExtInode {
  isDirectory: boolean
  isFile: boolean
  usesExtents: boolean
  /** Bytes. */
  size: number
  /** The 60 bytes that name the blocks: a tree of extents, or block numbers. */
  blockMap: Buffer
}

export const ROOT_INODE = 2

const SUPERBLOCK_AT = 1024
const MAGIC = 0xef53
const [fileTypes, has64Bit] = [0x2, 0x80]
/**
 * Incompatible features beside which directories read as here: the two above, a journal to replay, extents, multiple mount
 * protection, flexible groups, values in inodes, checksum seed, large directories; and inline data, encryption and
 * case-folding, which a flag of the inode tells.
 */
const understood =
  fileTypes | has64Bit | 0x4 | 0x40 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000
const [directoryMode, fileMode, modeMask] = [0x4000, 0x8000, 0xf000]
const [extentsFlag, inlineDataFlag, encryptedFlag] = [0x80000, 0x10000000, 0x800]

/** @throws VolumeFault when this is no such volume, or one with features that are not understood. */
export async function openExt(volume: Volume): Promise<ExtVolume> {
  const superblock = await volume.read(SUPERBLOCK_AT, 1024)
  if (superblock.readUInt16LE(56) !== MAGIC) throw new VolumeFault('is no ext2, ext3 or ext4')
  const isDynamic = superblock.readUInt32LE(76) > 0 // revision 0 has no features, and inodes of 128 bytes
  const incompatible = isDynamic ? superblock.readUInt32LE(96) : 0
  const unknown = (incompatible & ~understood) >>> 0
  if (unknown !== 0)
    throw new VolumeFault(`has the features 0x${unknown.toString(16)}, which are not read here`)
  const logBlockSize = superblock.readUInt32LE(24)
  const inodeSize = isDynamic ? superblock.readUInt16LE(88) : 128
  const inodesPerGroup = superblock.readUInt32LE(40)
  const has64BitBlocks = (incompatible & has64Bit) !== 0
  const descriptorSize = has64BitBlocks ? superblock.readUInt16LE(254) : 32
  if (
    logBlockSize > 6 ||
    inodeSize < 128 ||
    inodesPerGroup === 0 ||
    descriptorSize < (has64BitBlocks ? 64 : 32)
  )
    throw new VolumeFault('has an impossible superblock')
  const blockSize = 1024 << logBlockSize
  return {
    volume,
    blockSize,
    inodeSize,
    inodesPerGroup,
    inodes: superblock.readUInt32LE(0),
    descriptorsAt: (superblock.readUInt32LE(20) + 1) * blockSize,
    descriptorSize,
    has64BitBlocks,
    hasFileTypes: (incompatible & fileTypes) !== 0,
  }
}

/** @throws VolumeFault when there is no such inode, or its data are kept in a way that is not read here. */
export async function readExtInode(ext: ExtVolume, number: number): Promise<ExtInode> {
  if (number < 1 || number > ext.inodes)
    throw new VolumeFault(`refers to the inode ${number}, which it has not`)
  const group = Math.floor((number - 1) / ext.inodesPerGroup)
  const descriptor = await ext.volume.read(ext.descriptorsAt + group * ext.descriptorSize, ext.descriptorSize)
  const high = ext.has64BitBlocks ? descriptor.readUInt32LE(40) : 0
  const table = (high * 2 ** 32 + descriptor.readUInt32LE(8)) * ext.blockSize
  const inode = await ext.volume.read(table + ((number - 1) % ext.inodesPerGroup) * ext.inodeSize, 128)
  const flags = inode.readUInt32LE(32)
  if ((flags & (inlineDataFlag | encryptedFlag)) !== 0)
    throw new VolumeFault('has a directory or file that is encrypted or kept in its inode')
  const kind = inode.readUInt16LE(0) & modeMask
  return {
    isDirectory: kind === directoryMode,
    isFile: kind === fileMode,
    usesExtents: (flags & extentsFlag) !== 0,
    size: inode.readUInt32LE(4),
    blockMap: inode.subarray(40, 100),
  }
}
