import { type Volume, VolumeFault } from './volume.ts'

/**
 * FAT12, FAT16 and FAT32, read only (Microsoft "FAT: General Overview of On-Disk Format" 1.03). As lenient as firmware:
 * only what reading needs is checked, by the first FAT.
 */
export interface FatVolume {
  volume: Volume
  bits: 12 | 16 | 32
  /** Bytes of one cluster. */
  clusterSize: number
  /** Byte at which the first FAT begins, and at which cluster 2 does. */
  fatOffset: number
  dataOffset: number
  /** Numbers of data clusters are from 2 to here. */
  lastCluster: number
  /** Where the root directory is: a fixed area, or a chain of clusters (FAT32). */
  root: { offset: number; length: number } | { cluster: number }
}

/** From this many clusters on, a volume is FAT16, and too large for it. FAT32 is known by its empty 16-bit fields. */
const [fat16From, fat16Below] = [4085, 65525]
const entrySize = 32

const isPowerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0

/** @throws VolumeFault when the boot sector is not that of a FAT volume. */
export async function openFat(volume: Volume): Promise<FatVolume> {
  const boot = await volume.read(0, 512)
  const sector = boot.readUInt16LE(11)
  const clusterSectors = boot.readUInt8(13)
  const reserved = boot.readUInt16LE(14)
  const fats = boot.readUInt8(16)
  if (
    ![512, 1024, 2048, 4096].includes(sector) ||
    !isPowerOfTwo(clusterSectors) ||
    reserved === 0 ||
    fats === 0
  )
    throw new VolumeFault('is no FAT')
  const fatSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36)
  const sectors = boot.readUInt16LE(19) || boot.readUInt32LE(32)
  const rootSectors = Math.ceil((boot.readUInt16LE(17) * entrySize) / sector)
  const rootSector = reserved + fats * fatSectors
  const clusters = Math.floor((sectors - rootSector - rootSectors) / clusterSectors)
  if (fatSectors === 0 || clusters < 1) throw new VolumeFault('is a FAT without clusters')
  const bits = boot.readUInt16LE(22) === 0 ? 32 : clusters < fat16From ? 12 : 16
  if (bits === 16 && clusters >= fat16Below) throw new VolumeFault(`is a FAT16 of ${clusters} clusters`)
  return {
    volume,
    bits,
    clusterSize: clusterSectors * sector,
    fatOffset: reserved * sector,
    dataOffset: (rootSector + rootSectors) * sector,
    lastCluster: Math.min(clusters + 1, Math.floor((fatSectors * sector * 8) / bits) - 1),
    root:
      bits === 32
        ? { cluster: boot.readUInt32LE(44) }
        : { offset: rootSector * sector, length: rootSectors * sector },
  }
}

/** Byte at which a cluster begins. Throws VolumeFault for a number that is no data cluster's. */
export function clusterOffset(fat: FatVolume, cluster: number): number {
  if (cluster < 2 || cluster > fat.lastCluster)
    throw new VolumeFault(`refers to the cluster ${cluster}, which it has not`)
  return fat.dataOffset + (cluster - 2) * fat.clusterSize
}

/** The cluster that follows in the chain, or null at its end. Throws VolumeFault where the chain is broken. */
export async function nextCluster(fat: FatVolume, cluster: number): Promise<number | null> {
  const next = await fatEntry(fat, cluster)
  const endOfChain = { 12: 0xff8, 16: 0xfff8, 32: 0x0fff_fff8 }[fat.bits]
  if (next >= endOfChain) return null
  clusterOffset(fat, next)
  return next
}

async function fatEntry({ volume, bits, fatOffset }: FatVolume, cluster: number): Promise<number> {
  if (bits === 32) return (await volume.read(fatOffset + cluster * 4, 4)).readUInt32LE() & 0x0fff_ffff
  if (bits === 16) return (await volume.read(fatOffset + cluster * 2, 2)).readUInt16LE()
  const both = (await volume.read(fatOffset + cluster + (cluster >> 1), 2)).readUInt16LE()
  return cluster % 2 === 1 ? both >> 4 : both & 0xfff
}

/**
 * `length` bytes at `offset` of the file that begins at `cluster`; fewer where its chain ends before.
 * @throws VolumeFault where the chain is broken.
 */
export async function readChain(
  fat: FatVolume,
  cluster: number,
  offset: number,
  length: number,
): Promise<Buffer> {
  const { volume, clusterSize } = fat
  const parts: Buffer[] = []
  const end = offset + length
  let at = 0
  for (let next: number | null = cluster; next !== null && at < end; at += clusterSize) {
    const [from, to] = [Math.max(offset - at, 0), Math.min(end - at, clusterSize)]
    if (from < to) parts.push(await volume.read(clusterOffset(fat, next) + from, to - from))
    next = at + clusterSize < end ? await nextCluster(fat, next) : null
  }
  return Buffer.concat(parts)
}
