import { refuse } from './refuse.ts'

/** Bytes: sectors of a VMDK are 512 bytes whatever the disk has. */
export const SECTOR = 512
/** Grains of one grain table; the specification knows no other number. */
export const GRAINS_PER_TABLE = 512
/** Entries of a grain directory, of 8 MiB: enough for 64 TiB in the usual grains of 64 KiB. */
export const MAX_TABLES = 2 ** 21
/** Grain directory of an extent whose header was written before it: the footer has it. */
const AT_END = 0xffff_ffff_ffff_ffffn
const LARGEST_GRAIN_SECTORS = 4096
const MAX_DESCRIPTOR_SECTORS = 2047 // one MiB less a sector
const MAX_CAPACITY = 2n ** 37n // sectors: 64 TiB; the format ends at 62 TiB

const FLAG = { newLineTest: 1, redundantTable: 2, zeroedGrains: 4, compressed: 0x1_0000, markers: 0x2_0000 }
const KNOWN_FLAGS = Object.values(FLAG).reduce((all, flag) => all | flag, 0)

const CONVERT = 'Convert it with qemu-img convert -O vmdk -o subformat=streamOptimized IMAGE NEW.'

/** A sound header of a streamOptimized extent. Sizes and offsets in bytes unless named sectors. */
export interface VmdkHeader {
  virtualSize: number
  grainSize: number
  /** Sectors. */
  descriptor: { start: number; count: number }
  /** First sector of the grain directory; null where only the footer tells. */
  directory: number | null
  /** Entries of the grain directory. */
  tables: number
  /** First sector that may hold grains. */
  overhead: number
  /** A table entry of 1 is a grain of zeros. */
  zeroedGrains: boolean
}

/**
 * Reads the header of a hosted sparse extent (VMware, "Virtual Disk Format 5.0", section "Hosted Sparse Extent Header") and
 * refuses everything that is not streamOptimized: compressed grains with markers. `bytes`: the first sector. Throws ImagingError
 * FORMAT.
 */
export function readVmdkHeader(bytes: Uint8Array): VmdkHeader {
  if (bytes.length < SECTOR) throw refuse('The image is cut off in its VMDK header.', CONVERT)
  const view = new DataView(bytes.buffer, bytes.byteOffset, SECTOR)
  const magic = Buffer.from(bytes.subarray(0, 4)).toString('latin1')
  if (magic !== 'KDMV')
    throw refuse('The VMDK is no sparse extent: only streamOptimized ones can be streamed.', CONVERT)
  const version = view.getUint32(4, true)
  if (version < 1 || version > 3) throw refuse(`The VMDK has version ${version}; byoi reads 1 to 3.`, CONVERT)
  const flags = view.getUint32(8, true)
  checkFlags(flags, view)
  const grainSectors = number(view, 20)
  if (grainSectors < 8 || grainSectors > LARGEST_GRAIN_SECTORS || (grainSectors & (grainSectors - 1)) !== 0) {
    throw refuse(
      `The VMDK's grains of ${grainSectors} sectors are not a power of two from 8 to ${LARGEST_GRAIN_SECTORS}.`,
      CONVERT,
    )
  }
  const perTable = view.getUint32(44, true)
  if (perTable !== GRAINS_PER_TABLE) {
    throw refuse(`The VMDK's grain tables have ${perTable} entries instead of ${GRAINS_PER_TABLE}.`, CONVERT)
  }
  const capacity = view.getBigUint64(12, true)
  if (capacity === 0n || capacity > MAX_CAPACITY) {
    throw refuse(`The VMDK's capacity of ${capacity} sectors is impossible.`, CONVERT)
  }
  const descriptor = { start: number(view, 28), count: number(view, 36) }
  if (descriptor.start < 1 || descriptor.count < 1 || descriptor.count > MAX_DESCRIPTOR_SECTORS) {
    throw refuse('The VMDK has no embedded descriptor, or one of an impossible size.', CONVERT)
  }
  const overhead = number(view, 64)
  if (overhead < descriptor.start + descriptor.count) {
    throw refuse("The VMDK's descriptor reaches into its grains.", CONVERT)
  }
  const directory = view.getBigUint64(56, true) === AT_END ? null : number(view, 56)
  const tables = Math.ceil(Number(capacity) / (grainSectors * GRAINS_PER_TABLE))
  if (tables > MAX_TABLES)
    throw refuse(`The VMDK needs ${tables} grain tables, more than ${MAX_TABLES}.`, CONVERT)
  if (directory !== null && directory < overhead) {
    const end = directory + Math.ceil((tables * 4) / SECTOR)
    if (directory < descriptor.start + descriptor.count || end > overhead)
      throw refuse(`The VMDK's grain directory stands at sector ${directory}, where none can be.`, CONVERT)
  }
  return {
    virtualSize: Number(capacity) * SECTOR,
    grainSize: grainSectors * SECTOR,
    descriptor,
    directory,
    tables,
    overhead,
    zeroedGrains: (flags & FLAG.zeroedGrains) !== 0,
  }
}

function checkFlags(flags: number, view: DataView): void {
  const unknown = (flags & ~KNOWN_FLAGS) >>> 0
  if (unknown !== 0)
    throw refuse(`The VMDK has flags 0x${unknown.toString(16)}, which byoi does not know.`, CONVERT)
  const streamed = (flags & FLAG.compressed) !== 0 && (flags & FLAG.markers) !== 0
  if (!streamed)
    throw refuse('The VMDK is not streamOptimized: its grains are not compressed with markers.', CONVERT)
  const algorithm = view.getUint16(77, true)
  if (algorithm !== 1)
    throw refuse(`The VMDK is compressed by method ${algorithm}; only deflate is known.`, CONVERT)
  const newLines = [0x0a, 0x20, 0x0d, 0x0a]
  if (
    (flags & FLAG.newLineTest) !== 0 &&
    newLines.some((byte, index) => view.getUint8(73 + index) !== byte)
  ) {
    throw refuse('The VMDK was damaged by a transfer as text.', 'Upload the image again, as binary.')
  }
}

/** A u64 that has to be an exact number; what is larger becomes one that no check lets pass. */
function number(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value)
}

const EXTENT = /^(rw|rdonly|noaccess) ([0-9]+) ([a-z]+) "([^"/\\]{1,255})"$/i
const SETTING = /^[A-Za-z][A-Za-z0-9_.]*\s*=/

/**
 * Checks the embedded descriptor: one sparse extent of the header's capacity, of type streamOptimized, naming no path and no
 * parent. Names in it are never opened. Throws ImagingError FORMAT.
 */
export function checkVmdkDescriptor(bytes: Uint8Array, { virtualSize }: VmdkHeader): void {
  const text = textOf(bytes)
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const extents = lines.flatMap((line) => EXTENT.exec(line) ?? []).length / 5
  for (const line of lines) {
    const extent = EXTENT.exec(line)
    if (extent !== null) checkExtent(extent[2] ?? '', extent[3] ?? '', virtualSize)
    else if (!SETTING.test(line))
      throw refuse("The VMDK's descriptor holds a line that byoi does not know.", CONVERT)
  }
  if (extents !== 1) throw refuse(`The VMDK's descriptor names ${extents} extents instead of one.`, CONVERT)
  const settings = new Map(lines.filter((line) => SETTING.test(line)).map(settingOf))
  const type = settings.get('createtype') ?? ''
  if (type.toLowerCase() !== 'streamoptimized') {
    throw refuse(`The VMDK's descriptor says that it is ${shown(type)}, not streamOptimized.`, CONVERT)
  }
  if (
    (settings.get('parentcid') ?? 'ffffffff').toLowerCase() !== 'ffffffff' ||
    settings.has('parentfilenamehint')
  ) {
    throw refuse('The VMDK needs a parent image, which is not allowed.', 'Flatten it into one image first.')
  }
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  const text = bytes.subarray(0, end === -1 ? bytes.length : end)
  // A few writers put names in other alphabets into comments; nothing of that is used.
  if (text.length === 0) throw refuse("The VMDK's descriptor is empty.", CONVERT)
  return Buffer.from(text).toString('latin1').replaceAll('\r', '')
}

function checkExtent(sectors: string, type: string, virtualSize: number): void {
  if (type.toLowerCase() !== 'sparse')
    throw refuse(`The VMDK's extent is of type ${shown(type)}, not SPARSE.`, CONVERT)
  if (sectors.length > 16 || Number(sectors) * SECTOR !== virtualSize) {
    throw refuse("The VMDK's descriptor gives another size than its header.", CONVERT)
  }
}

function settingOf(line: string): [string, string] {
  const at = line.indexOf('=')
  const value = line.slice(at + 1).trim()
  return [line.slice(0, at).trim().toLowerCase(), value.replace(/^"(.*)"$/, '$1')]
}

const shown = (text: string): string => (/^[A-Za-z0-9_-]{1,32}$/.test(text) ? text : 'of another type')
