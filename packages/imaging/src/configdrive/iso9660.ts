import { breadthFirst, directoryTree, type VolumeDirectory, type VolumeFile } from './volume-file.ts'

/**
 * Writes a small ISO 9660 volume: ECMA-119 interchange level 2, and Rock Ridge (IEEE P1282, RRIP 1.09) for names as given
 * and modes. No Joliet: what reads a config drive from a partition (Linux, the BSDs, libarchive for cloudbase-init) knows
 * Rock Ridge. The same files give the same bytes: dates are fixed.
 */
const block = 2048
/** The first 16 blocks belong to the system; then the descriptor, its terminator, two path tables. */
const [descriptorBlock, pathTableBlock, firstFreeBlock] = [16, 18, 20]
/** 2000-01-01 00:00:00 UTC, as in a directory record (9.1.5) and as digits (8.4.26.1). */
const recordDate = [100, 1, 1, 0, 0, 0, 0]
const digitDate = '2000010100000000\0'
const noDate = '0000000000000000\0'
/** Only root reads what may be secret. */
const [directoryMode, fileMode] = [0o040700, 0o100400]

interface Placed {
  block: number
  length: number
}

/**
 * @param volumeId at most 32 characters; written as given
 * @param size bytes of the whole volume, a multiple of 2048; throws RangeError when the files do not fit
 */
export function buildIso9660(volumeId: string, files: VolumeFile[], size: number): Uint8Array {
  const image = Buffer.alloc(size)
  const directories = breadthFirst(directoryTree(files))
  let next = firstFreeBlock
  const place = (length: number): Placed => {
    const placed = { block: next, length }
    next += Math.ceil(length / block)
    if (next * block > size) throw new RangeError(`the files do not fit into ${size} bytes`)
    return placed
  }
  const placed = new Map<object, Placed>()
  for (const directory of directories) placed.set(directory, place(block))
  for (const directory of directories) {
    for (const file of directory.files) placed.set(file, place(file.bytes.length))
  }
  const where = (node: object): Placed => placed.get(node) ?? { block: 0, length: 0 }

  for (const directory of directories) {
    const parent = directories.find((known) => known.directories.includes(directory)) ?? directory
    writeDirectory(image, directory, parent, where)
    for (const file of directory.files) image.set(file.bytes, where(file).block * block)
  }
  const tableLength = writePathTables(image, directories, where)
  writeDescriptors(image, volumeId, tableLength, record(directories[0] ?? {}, '\0', where, Buffer.alloc(0)))
  return image
}

/** Both byte orders, as most numbers are kept (7.2.3, 7.3.3). */
function both16(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16LE(value, 0)
  bytes.writeUInt16BE(value, 2)
  return bytes
}

function both32(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(value, 0)
  bytes.writeUInt32BE(value, 4)
  return bytes
}

const isDirectory = (node: object): node is VolumeDirectory => 'directories' in node

/** Identifier of level 2: upper case; a file's has a dot and a version (7.5.1). */
const identifier = (node: { name: string }): string => {
  const name = node.name.toUpperCase()
  if (isDirectory(node)) return name
  return `${name.includes('.') ? name : `${name}.`};1`
}

function writeDirectory(
  image: Buffer,
  directory: VolumeDirectory,
  parent: VolumeDirectory,
  where: (node: object) => Placed,
): void {
  const isRoot = parent === directory
  const children = [...directory.directories, ...directory.files]
    .map((node) => ({ node, id: identifier(node) }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const records = [
    record(
      directory,
      '\0',
      where,
      Buffer.concat(isRoot ? [sharing(), posix(directory), extension()] : [posix(directory)]),
    ),
    record(parent, '\u0001', where, posix(parent)),
    ...children.map(({ node, id }) =>
      record(node, id, where, Buffer.concat([posix(node), alternateName(node.name)])),
    ),
  ]
  const bytes = Buffer.concat(records)
  if (bytes.length > block) throw new RangeError('a directory does not fit into one block')
  bytes.copy(image, where(directory).block * block)
}

/** Directory record (9.1), with system use. */
function record(node: object, id: string, where: (node: object) => Placed, systemUse: Uint8Array): Buffer {
  const head = 33 + id.length + (id.length % 2 === 0 ? 1 : 0)
  const bytes = Buffer.alloc(head + systemUse.length + (systemUse.length % 2))
  const { block: at, length } = where(node)
  bytes.writeUInt8(bytes.length, 0)
  bytes.set(both32(at), 2)
  bytes.set(both32(length), 10)
  bytes.set(recordDate, 18)
  bytes.writeUInt8(isDirectory(node) ? 2 : 0, 25)
  bytes.set(both16(1), 28)
  bytes.writeUInt8(id.length, 32)
  bytes.write(id, 33, 'latin1')
  bytes.set(systemUse, head)
  return bytes
}

/** SUSP 5.3 "SP": the system use areas follow the sharing protocol. */
const sharing = (): Buffer => Buffer.from([0x53, 0x50, 7, 1, 0xbe, 0xef, 0])

/** SUSP 5.5 "ER": names Rock Ridge as the extension. */
const extension = (): Buffer => {
  const id = Buffer.from('RRIP_1991A', 'latin1')
  return Buffer.concat([Buffer.from([0x45, 0x52, 8 + id.length, 1, id.length, 0, 0, 1]), id])
}

/** RRIP 4.1.1 "PX": mode, links, owner and group root. */
const posix = (node: object): Buffer => {
  const links = isDirectory(node) ? 2 + node.directories.length : 1
  const mode = isDirectory(node) ? directoryMode : fileMode
  return Buffer.concat([Buffer.from([0x50, 0x58, 36, 1]), both32(mode), both32(links), both32(0), both32(0)])
}

/** RRIP 4.1.4 "NM": the name as given. */
const alternateName = (name: string): Buffer =>
  Buffer.concat([Buffer.from([0x4e, 0x4d, 5 + name.length, 1, 0]), Buffer.from(name, 'latin1')])

/** Path tables, little-endian (type L) and big-endian (type M) (9.4). Returns their length in bytes. */
function writePathTables(
  image: Buffer,
  directories: VolumeDirectory[],
  where: (node: object) => Placed,
): number {
  let at = 0
  for (const directory of directories) {
    const id = directory.name === '' ? '\0' : identifier(directory)
    const parent = Math.max(
      directories.findIndex((known) => known.directories.includes(directory)),
      0,
    )
    const little = pathTableBlock * block + at
    const big = (pathTableBlock + 1) * block + at
    for (const start of [little, big]) {
      image.writeUInt8(id.length, start)
      image.write(id, start + 8, 'latin1')
    }
    image.writeUInt32LE(where(directory).block, little + 2)
    image.writeUInt32BE(where(directory).block, big + 2)
    image.writeUInt16LE(parent + 1, little + 6)
    image.writeUInt16BE(parent + 1, big + 6)
    at += 8 + id.length + (id.length % 2)
  }
  return at
}

/** Primary volume descriptor (8.4) and set terminator (8.3). */
function writeDescriptors(image: Buffer, volumeId: string, tableLength: number, rootRecord: Buffer): void {
  const descriptor = image.subarray(descriptorBlock * block, (descriptorBlock + 1) * block)
  descriptor.write('\u0001CD001\u0001', 0, 'latin1')
  descriptor.fill(' ', 8, 72)
  descriptor.write(volumeId, 40, 32, 'latin1')
  descriptor.set(both32(image.length / block), 80)
  descriptor.set(both16(1), 120)
  descriptor.set(both16(1), 124)
  descriptor.set(both16(block), 128)
  descriptor.set(both32(tableLength), 132)
  descriptor.writeUInt32LE(pathTableBlock, 140)
  descriptor.writeUInt32BE(pathTableBlock + 1, 148)
  descriptor.set(rootRecord, 156)
  descriptor.fill(' ', 190, 813)
  descriptor.write(digitDate, 813, 'latin1')
  descriptor.write(digitDate, 830, 'latin1')
  descriptor.write(noDate, 847, 'latin1')
  descriptor.write(noDate, 864, 'latin1')
  descriptor.writeUInt8(1, 881)
  image.write('\u00ffCD001\u0001', (descriptorBlock + 1) * block, 'latin1')
}
