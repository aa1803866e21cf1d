import { breadthFirst, directoryTree, type VolumeDirectory, type VolumeFile } from './volume-file.ts'

/**
 * Writes a small FAT volume for disks with 4096 byte sectors, on which ISO 9660 cannot be mounted (Microsoft "FAT: General
 * Overview of On-Disk Format" 1.03). One sector is one cluster; FAT12 or FAT16 follows from their number. Long names as
 * given. The same files give the same bytes: dates and serial number are fixed.
 */
const sector = 4096
const entrySize = 32
const rootEntries = sector / entrySize
/** From this many clusters on, readers take a volume for FAT16, and for FAT32. */
const [fat16From, fat32From] = [4085, 65525]
const media = 0xf8
/** 2000-01-01: years since 1980, month, day. */
const date = (20 << 9) | (1 << 5) | 1
const [readOnly, volumeLabel, directoryAttribute] = [0x01, 0x08, 0x10]
const longName = 0x0f
const unitsPerLongEntry = 13

interface Layout {
  bits: 12 | 16
  fatSectors: number
  clusters: number
  dataSector: number
}

/**
 * @param label at most 11 characters; written as given
 * @param size bytes of the whole volume, a multiple of 4096; throws RangeError when the files do not fit
 */
export function buildFat(label: string, files: VolumeFile[], size: number): Uint8Array {
  const layout = layOut(size / sector)
  const image = Buffer.alloc(size)
  const fat = Buffer.alloc(layout.fatSectors * sector)
  setFat(fat, layout, 0, 0xff00 | media)
  setFat(fat, layout, 1, 0xffff)

  let free = 2
  const first = new Map<object, number>()
  const place = (node: object, length: number): void => {
    const clusters = Math.ceil(length / sector)
    if (free + clusters > layout.clusters + 2) throw new RangeError(`the files do not fit into ${size} bytes`)
    first.set(node, clusters === 0 ? 0 : free)
    for (let index = 1; index <= clusters; index++) {
      setFat(fat, layout, free, index === clusters ? 0xffff : free + 1)
      free++
    }
  }
  const at = (node: object): number => (layout.dataSector + (first.get(node) ?? 0) - 2) * sector

  const directories = breadthFirst(directoryTree(files))
  const [root, ...others] = directories
  for (const directory of others) place(directory, sector)
  for (const file of directories.flatMap((directory) => directory.files)) {
    place(file, file.bytes.length)
    image.set(file.bytes, at(file))
  }
  for (const directory of directories) {
    const isRoot = directory === root
    const parent = directories.find((known) => known.directories.includes(directory))
    const start = [
      ...(isRoot ? [shortEntry(label.padEnd(11), volumeLabel, 0, 0)] : []),
      ...(isRoot ? [] : [shortEntry('.'.padEnd(11), directoryAttribute, first.get(directory) ?? 0, 0)]),
      // In a child of the root directory, ".." is cluster 0.
      ...(isRoot ? [] : [shortEntry('..'.padEnd(11), directoryAttribute, first.get(parent ?? {}) ?? 0, 0)]),
    ]
    const bytes = Buffer.concat([...start, ...childEntries(directory, (node) => first.get(node) ?? 0)])
    if (bytes.length > sector) throw new RangeError('a directory does not fit into one cluster')
    bytes.copy(image, isRoot ? (layout.dataSector - 1) * sector : at(directory))
  }
  bootSector(image, label, layout)
  fat.copy(image, sector)
  fat.copy(image, (1 + layout.fatSectors) * sector)
  return image
}

/** Boot sector, two FATs, one sector of root directory, clusters. */
function layOut(sectors: number): Layout {
  for (let fatSectors = 1; ; fatSectors++) {
    const dataSector = 1 + 2 * fatSectors + 1
    const clusters = sectors - dataSector
    if (clusters >= fat32From) throw new RangeError('the volume is too large for FAT16')
    const bits = clusters < fat16From ? 12 : 16
    if (((clusters + 2) * bits) / 8 <= fatSectors * sector) return { bits, fatSectors, clusters, dataSector }
  }
}

function setFat(fat: Buffer, { bits }: Layout, cluster: number, value: number): void {
  if (bits === 16) {
    fat.writeUInt16LE(value & 0xffff, cluster * 2)
    return
  }
  const at = cluster + (cluster >> 1)
  const both = fat.readUInt16LE(at)
  const odd = cluster % 2 === 1
  fat.writeUInt16LE(odd ? (both & 0x000f) | ((value & 0xfff) << 4) : (both & 0xf000) | (value & 0xfff), at)
}

function bootSector(image: Buffer, label: string, { bits, fatSectors }: Layout): void {
  const sectors = image.length / sector
  image.set([0xeb, 0x3c, 0x90], 0)
  image.write('MSWIN4.1', 3, 'latin1')
  image.writeUInt16LE(sector, 11)
  image.writeUInt8(1, 13)
  image.writeUInt16LE(1, 14)
  image.writeUInt8(2, 16)
  image.writeUInt16LE(rootEntries, 17)
  image.writeUInt16LE(sectors, 19)
  image.writeUInt8(media, 21)
  image.writeUInt16LE(fatSectors, 22)
  image.writeUInt16LE(63, 24)
  image.writeUInt16LE(255, 26)
  image.writeUInt8(0x80, 36)
  image.writeUInt8(0x29, 38)
  image.writeUInt32LE(0x2d32_6366, 39)
  image.write(label.padEnd(11), 43, 'latin1')
  image.write(bits === 12 ? 'FAT12   ' : 'FAT16   ', 54, 'latin1')
  image.set([0x55, 0xaa], 510)
}

function shortEntry(name: string, attributes: number, cluster: number, length: number): Buffer {
  const bytes = Buffer.alloc(entrySize)
  bytes.write(name, 0, 11, 'latin1')
  bytes.writeUInt8(attributes, 11)
  bytes.writeUInt16LE(date, 16)
  bytes.writeUInt16LE(date, 18)
  bytes.writeUInt16LE(date, 24)
  bytes.writeUInt16LE(cluster, 26)
  bytes.writeUInt32LE(length, 28)
  return bytes
}

/** Long name entries and the short entry of each child. */
function childEntries(directory: VolumeDirectory, cluster: (node: object) => number): Buffer[] {
  const children = [
    ...directory.directories.map((node) => ({ node, attributes: directoryAttribute, length: 0 })),
    ...directory.files.map((node) => ({ node, attributes: readOnly, length: node.bytes.length })),
  ]
  return children.flatMap(({ node, attributes, length }, index) => {
    const short = shortName(node.name, index + 1)
    return [...longEntries(node.name, short), shortEntry(short, attributes, cluster(node), length)]
  })
}

/** A name of 8 + 3 that is unique by its number: `META_D~1JSO`. */
function shortName(name: string, number: number): string {
  const [base = '', extension = ''] = name.toUpperCase().split('.')
  const tail = `~${number}`
  return (base.slice(0, 8 - tail.length) + tail).padEnd(8) + extension.slice(0, 3).padEnd(3)
}

/** The long name, last part first, each with the checksum of the short name that it belongs to. */
function longEntries(name: string, short: string): Buffer[] {
  const checksum = [...Buffer.from(short, 'latin1')].reduce(
    (sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff,
    0,
  )
  const count = Math.ceil(name.length / unitsPerLongEntry)
  const units = Buffer.alloc(count * unitsPerLongEntry * 2, 0xff)
  units.write(name.length % unitsPerLongEntry === 0 ? name : `${name}\0`, 0, 'utf16le')
  return Array.from({ length: count }, (_, index) => {
    const order = count - index
    const part = units.subarray((order - 1) * unitsPerLongEntry * 2, order * unitsPerLongEntry * 2)
    const bytes = Buffer.alloc(entrySize)
    bytes.writeUInt8(order | (index === 0 ? 0x40 : 0), 0)
    bytes.set(part.subarray(0, 10), 1)
    bytes.writeUInt8(longName, 11)
    bytes.writeUInt8(checksum, 13)
    bytes.set(part.subarray(10, 22), 14)
    bytes.set(part.subarray(22, 26), 28)
    return bytes
  })
}
