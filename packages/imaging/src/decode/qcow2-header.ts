import { ImagingError } from '../error.ts'
import { cutOff, refuse, REPAIR } from './refuse.ts'

/** What of the header the decoder needs. All offsets and sizes in bytes, proved to be at most 2^53 - 1. */
export interface Qcow2Header {
  version: 2 | 3
  clusterSize: number
  /** Virtual size exactly as the header says. */
  size: number
  /** `size` rounded up to whole sectors of 512 bytes. */
  virtualSize: number
  /** Offset of the active L1 table, and its entries that the virtual size needs (the table may be longer). */
  l1Offset: number
  l1Entries: number
  refcountTable: { offset: number; length: number }
  codec: 'deflate' | 'zstd'
  extendedL2: boolean
  /** Entries of an L2 table. */
  l2Entries: number
  /** Bytes of the disk that one L2 table describes. */
  l2Span: number
  /** What a reader should know, one sentence each. */
  notes: string[]
}

export interface HeaderLimits {
  /** Length of the served file, in bytes, where it is known. */
  fileSize?: number | undefined
  /** Size of the disk, in bytes; a larger image is refused with `DISK`. */
  diskSize?: number | undefined
}

/** Enough of any image to call `headerBytes`. */
export const HEADER_START = 104

const V2_LENGTH = 72
const V3_LENGTH = 104
const COMPRESSION_TYPE = 104
const MAX_L1_BYTES = 32 * 1024 * 1024 // limits of QEMU, named in the specification
/** What is kept of each is memory. 2^20 are 32 GiB in clusters of 512 bytes, 2 TiB in 4 KiB, 512 TiB in the usual 64 KiB. */
const MAX_L1_ENTRIES = 2 ** 20
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024
const MAX_SNAPSHOTS = 65536
const EXTENSION = { end: 0, dataFile: 0x44415441, encryption: 0x0537be77 }

const FLATTEN = 'Make an image that stands alone: qemu-img convert -O qcow2 IMAGE NEW.'

/**
 * How many first bytes `readQcow2Header` needs: the first cluster, 2 MiB at most. Given at least 24 bytes of the image, or
 * all of a shorter file. Throws ImagingError `FORMAT` for what is no qcow2 image.
 */
export function headerBytes(head: Uint8Array): number {
  return clusterSizeOf(viewOf(head))
}

/**
 * Reads and checks the header (specification: docs/interop/qcow2.txt of QEMU, "Header" and "Header extensions"). `bytes` is
 * the first cluster of the image. Throws ImagingError `FORMAT`, or `DISK` when the image is larger than the disk. Nothing
 * in it makes the caller open another file: backing files and external data files are refused.
 */
export function readQcow2Header(bytes: Uint8Array, limits: HeaderLimits = {}): Qcow2Header {
  const view = viewOf(bytes)
  const clusterSize = clusterSizeOf(view)
  const version = view.getUint32(4) as 2 | 3
  refuseForeignFiles(view)
  const features = version === 3 ? view.getBigUint64(72) : 0n
  checkFeatures(features)
  const headerLength = version === 3 ? readHeaderLength(view, clusterSize) : V2_LENGTH
  const extendedL2 = (features & 16n) !== 0n
  if (extendedL2 && clusterSize < 16384) {
    throw refuse(
      `Extended L2 entries need clusters of at least 16 KiB, but the image has ${clusterSize} bytes.`,
    )
  }
  const l2Entries = clusterSize / (extendedL2 ? 16 : 8)
  const l2Span = l2Entries * clusterSize
  const size = readSize(view, l2Span, limits.diskSize)
  const header: Qcow2Header = {
    version,
    clusterSize,
    size,
    virtualSize: Math.ceil(size / 512) * 512,
    l1Offset: offsetField(view, 40, 'L1 table', clusterSize),
    l1Entries: Math.ceil(size / l2Span),
    refcountTable: readRefcountTable(view, version, clusterSize),
    codec: readCodec(view, headerLength, (features & 8n) !== 0n),
    extendedL2,
    l2Entries,
    l2Span,
    notes: [],
  }
  checkTables(header, view.getUint32(36), limits.fileSize)
  const snapshots = readSnapshots(view, clusterSize)
  checkExtensions(bytes, view, headerLength, clusterSize)
  note(header, (features & 1n) !== 0n, snapshots)
  return header
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Bytes 0-3 magic, 4-7 version, 20-23 cluster_bits: checked before anything is shifted by it or allocated. */
function clusterSizeOf(view: DataView): number {
  if (view.byteLength < 4) throw cutOff('it does not even hold a header')
  if (view.getUint32(0) !== 0x514649fb) {
    throw refuse('The image is not qcow2: its magic is wrong.', 'Check the URL and the declared type.')
  }
  if (view.byteLength < 24) throw cutOff('it does not even hold a header')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) {
    throw refuse(
      `The image is qcow version ${version}; versions 2 and 3 are supported.`,
      'Convert it with qemu-img convert -O qcow2.',
    )
  }
  const bits = view.getUint32(20)
  if (bits < 9 || bits > 21) {
    throw refuse(`The cluster size of the image is 2^${bits} bytes; 2^9 to 2^21 are supported.`, FLATTEN)
  }
  if (view.byteLength < (version === 2 ? V2_LENGTH : V3_LENGTH)) throw cutOff('it ends inside its header')
  return 2 ** bits
}

/** Bytes 8-15 backing_file_offset, 16-19 backing_file_size, 32-35 crypt_method. */
function refuseForeignFiles(view: DataView): void {
  if (view.getBigUint64(8) !== 0n) {
    throw refuse('The image has a backing file; backing files are not allowed.', FLATTEN)
  }
  const method = view.getUint32(32)
  if (method !== 0) {
    const name = ['', ' (AES)', ' (LUKS)'][method] ?? ` (unknown method ${method})`
    throw refuse(
      `The image is encrypted${name}; encrypted images are not supported.`,
      'Decrypt it with qemu-img convert.',
    )
  }
}

/** Bytes 72-79 incompatible_features. Bit 0 (dirty) is harmless for a reader: only refcounts may be wrong. */
function checkFeatures(features: bigint): void {
  if (features & 4n)
    throw refuse('The image keeps its data in an external data file, which is not allowed.', FLATTEN)
  if (features & 2n) {
    throw refuse(
      'The image is marked as corrupt.',
      'Run qemu-img check -r all on the image, or make it anew.',
    )
  }
  for (let bit = 5; bit < 64; bit++) {
    if ((features >> BigInt(bit)) & 1n) {
      throw refuse(`The image uses the unknown incompatible feature bit ${bit}.`, FLATTEN)
    }
  }
}

/** Bytes 96-99 refcount_order, 100-103 header_length. */
function readHeaderLength(view: DataView, clusterSize: number): number {
  const order = view.getUint32(96)
  if (order > 6) throw refuse(`The refcount order of the image is ${order}; at most 6 is legal.`)
  const length = view.getUint32(100)
  if (length < V3_LENGTH || length > clusterSize || length % 8 !== 0) {
    throw refuse(`The header length of the image is ${length}, which is not legal.`)
  }
  return length
}

/** Bytes 24-31 size. The L1 table can be 32 MiB at most, which bounds the size for each cluster size. */
function readSize(view: DataView, l2Span: number, diskSize: number | undefined): number {
  const exact = view.getBigUint64(24)
  if (exact === 0n) throw refuse('The virtual size of the image is 0.', 'Serve an image with a disk in it.')
  if (diskSize !== undefined && exact > BigInt(diskSize)) {
    throw new ImagingError('DISK', {
      cause: `The image has a virtual size of ${exact} bytes, but the disk has ${diskSize}.`,
      remedy:
        'Shrink the image with qemu-img resize --shrink after its file systems, or choose a larger disk.',
    })
  }
  const most = BigInt(MAX_L1_BYTES / 8) * BigInt(l2Span)
  if (exact > most || exact > BigInt(Number.MAX_SAFE_INTEGER - 511)) {
    throw refuse(`The virtual size of the image is ${exact} bytes, more than its tables can describe.`)
  }
  if (exact > BigInt(MAX_L1_ENTRIES) * BigInt(l2Span)) {
    throw refuse(
      `The image's clusters are too small for its virtual size of ${exact} bytes: its L1 table is too long.`,
      'Convert it with qemu-img convert -O qcow2, which makes clusters of 64 KiB.',
    )
  }
  return Number(exact)
}

/** Bytes 48-55 refcount_table_offset, 56-59 refcount_table_clusters. The table itself is not read. */
function readRefcountTable(
  view: DataView,
  version: 2 | 3,
  clusterSize: number,
): Qcow2Header['refcountTable'] {
  const offset = offsetField(view, 48, 'refcount table', clusterSize)
  const length = view.getUint32(56) * clusterSize
  if (length === 0 || length > MAX_REFCOUNT_TABLE_BYTES) {
    throw refuse(
      `The refcount table of the image (version ${version}) has ${length} bytes, which is not legal.`,
    )
  }
  return { offset, length }
}

/** Byte 104 compression_type (present when the header is long enough), and bit 3 of incompatible_features. */
function readCodec(view: DataView, headerLength: number, bit: boolean): Qcow2Header['codec'] {
  const type =
    headerLength > COMPRESSION_TYPE && view.byteLength > COMPRESSION_TYPE
      ? view.getUint8(COMPRESSION_TYPE)
      : 0
  if (type > 1) throw refuse(`The image uses the unknown compression type ${type}.`, FLATTEN)
  if (bit !== (type !== 0)) {
    throw refuse('The compression type of the image and its feature bit contradict each other.')
  }
  return type === 1 ? 'zstd' : 'deflate'
}

/** Bytes 36-39 l1_size, 40-47 l1_table_offset against the virtual size, the other tables and the file's length. */
function checkTables(header: Qcow2Header, l1Size: number, fileSize: number | undefined): void {
  const { l1Offset, l1Entries, refcountTable } = header
  if (l1Size < l1Entries)
    throw refuse(`The L1 table has ${l1Size} entries, but the virtual size needs ${l1Entries}.`)
  if (l1Size * 8 > MAX_L1_BYTES) throw refuse(`The L1 table has ${l1Size} entries, more than is legal.`)
  if (overlap(l1Offset, l1Entries * 8, refcountTable.offset, refcountTable.length)) {
    throw refuse('The L1 table and the refcount table overlap.')
  }
  if (fileSize === undefined) return
  if (l1Offset + l1Entries * 8 > fileSize) throw cutOff('its L1 table lies behind its end')
  checkRefcountTable(header, fileSize)
}

/** Its last cluster must at least begin in the file, as "qemu-img check" demands. Throws ImagingError `FORMAT`. */
export function checkRefcountTable({ refcountTable, clusterSize }: Qcow2Header, fileSize: number): void {
  const last = refcountTable.offset + refcountTable.length - clusterSize
  if (last >= fileSize) throw cutOff('its refcount table lies behind its end')
}

/** Bytes 60-63 nb_snapshots, 64-71 snapshots_offset. Snapshots are ignored: the active state is deployed. */
function readSnapshots(view: DataView, clusterSize: number): number {
  const snapshots = view.getUint32(60)
  if (snapshots > MAX_SNAPSHOTS) throw refuse(`The image claims ${snapshots} snapshots, more than is legal.`)
  if (snapshots > 0) offsetField(view, 64, 'snapshot table', clusterSize)
  return snapshots
}

/** An offset at `at` that must be a cluster's, but not the header's. */
function offsetField(view: DataView, at: number, name: string, clusterSize: number): number {
  const exact = view.getBigUint64(at)
  if (exact % BigInt(clusterSize) !== 0n || exact === 0n || exact >= 1n << 53n) {
    throw refuse(`The offset of the ${name} is ${exact}, which is not legal.`)
  }
  return Number(exact)
}

/**
 * "Header extensions": type and length, 4 bytes each, then data padded to 8 bytes, up to type 0 or the end of the first
 * cluster. Unknown ones, feature names and bitmaps are of no use here and ignored.
 */
function checkExtensions(bytes: Uint8Array, view: DataView, from: number, clusterSize: number): void {
  for (let at = from; at + 8 <= clusterSize; ) {
    if (at + 8 > bytes.length) throw cutOff('it ends inside its header')
    const type = view.getUint32(at)
    if (type === EXTENSION.end) return
    const length = view.getUint32(at + 4)
    if (length > clusterSize - at - 8) {
      throw refuse(
        `A header extension of the image claims ${length} bytes, more than the header has.`,
        REPAIR,
      )
    }
    if (type === EXTENSION.dataFile) {
      throw refuse('The image names an external data file, which is not allowed.', FLATTEN)
    }
    if (type === EXTENSION.encryption) throw refuse('The image has an encryption header.', FLATTEN)
    at += 8 + Math.ceil(length / 8) * 8
  }
}

function note(header: Qcow2Header, dirty: boolean, snapshots: number): void {
  if (dirty) header.notes.push('The image was not closed cleanly; its data is used as it is.')
  if (snapshots > 0) header.notes.push(`The image holds ${snapshots} snapshots; its current state is used.`)
  if (header.size !== header.virtualSize) {
    header.notes.push(`The virtual size of ${header.size} bytes is rounded up to whole sectors.`)
  }
}

/** Whether two ranges, offset and length in bytes, have a byte in common. */
export function overlap(a: number, aLength: number, b: number, bLength: number): boolean {
  return a < b + bLength && b < a + aLength
}
