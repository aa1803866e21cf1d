import { crc32 } from 'node:zlib'
import { guidText } from './guid.ts'

/**
 * GUID Partition Table: header and entry array as pure codecs (UEFI specification 2.10, section 5.3). LBAs are in sectors
 * of the disk, sizes in bytes. LBAs are numbers: beyond 2^53 they lose exactness but keep their order, which is all that a
 * range check needs before it refuses them.
 */
export interface GptHeader {
  /** Bytes that the header's CRC covers: 92 to the sector size. */
  headerSize: number
  myLba: number
  alternateLba: number
  firstUsableLba: number
  lastUsableLba: number
  diskGuid: Uint8Array
  entriesLba: number
  entryCount: number
  /** 128 * 2^n bytes. */
  entrySize: number
  entriesCrc: number
  /** Bytes 92 to `headerSize`: reserved today, carried along. */
  extra: Uint8Array
}

export interface GptEntry {
  /** 1-based slot. */
  number: number
  type: string
  guid: string
  startLba: number
  /** Inclusive. */
  endLba: number
  name: string
}

/** A copy that cannot be trusted: `damaged` may be rot, `impossible` has a right CRC over numbers that cannot be. */
export interface GptFault {
  kind: 'absent' | 'damaged' | 'impossible'
  fault: string
}

const signature = Buffer.from('EFI PART', 'latin1')
const revision = 0x0001_0000
const minHeaderSize = 92
const minEntrySize = 128
/** An array must fit, with its header, into the MiB at the end of the disk. */
const maxArrayBytes = 1024 * 1024 - 2 * 4096

const damaged = (fault: string): GptFault => ({ kind: 'damaged', fault })
const impossible = (fault: string): GptFault => ({ kind: 'impossible', fault })

/** Bytes of the entry array, without padding to whole sectors. */
export const arrayBytes = (header: GptHeader): number => header.entryCount * header.entrySize

/** Sectors that the entry array fills. */
export const arraySectors = (header: GptHeader, sectorSize: number): number =>
  Math.ceil(arrayBytes(header) / sectorSize)

/** Reads and checks the header in `sector`, which was read from `lba`. The sector's length is the sector size. */
export function decodeGptHeader(sector: Uint8Array, lba: number): GptHeader | GptFault {
  const bytes = Buffer.from(sector.buffer, sector.byteOffset, sector.length)
  if (!bytes.subarray(0, 8).equals(signature)) return { kind: 'absent', fault: 'has no GPT signature' }
  const headerSize = bytes.readUInt32LE(12)
  if (headerSize < minHeaderSize || headerSize > sector.length) {
    return damaged(`gives its own size as ${headerSize} bytes`)
  }
  const covered = Buffer.from(bytes.subarray(0, headerSize))
  covered.writeUInt32LE(0, 16)
  if (crc32(covered) !== bytes.readUInt32LE(16)) return damaged('has a wrong header CRC')
  const header: GptHeader = {
    headerSize,
    myLba: Number(bytes.readBigUInt64LE(24)),
    alternateLba: Number(bytes.readBigUInt64LE(32)),
    firstUsableLba: Number(bytes.readBigUInt64LE(40)),
    lastUsableLba: Number(bytes.readBigUInt64LE(48)),
    diskGuid: Uint8Array.from(bytes.subarray(56, 72)),
    entriesLba: Number(bytes.readBigUInt64LE(72)),
    entryCount: bytes.readUInt32LE(80),
    entrySize: bytes.readUInt32LE(84),
    entriesCrc: bytes.readUInt32LE(88),
    extra: Uint8Array.from(bytes.subarray(minHeaderSize, headerSize)),
  }
  if (header.myLba !== lba) return damaged(`says that it stands at LBA ${header.myLba}, but stands at ${lba}`)
  return findImpossible(header, bytes.readUInt32LE(8)) ?? header
}

function findImpossible(header: GptHeader, foundRevision: number): GptFault | undefined {
  if (foundRevision !== revision)
    return impossible(`has the unknown revision 0x${foundRevision.toString(16)}`)
  const doublings = Math.log2(header.entrySize / minEntrySize)
  if (!Number.isInteger(doublings) || doublings < 0) {
    return impossible(`has entries of ${header.entrySize} bytes, not 128 times a power of two`)
  }
  if (header.entryCount === 0 || arrayBytes(header) > maxArrayBytes) {
    return impossible(`has an array of ${header.entryCount} entries of ${header.entrySize} bytes`)
  }
  if (header.entriesLba < 2) return impossible(`has its entry array at LBA ${header.entriesLba}`)
  if (header.firstUsableLba < 2 || header.firstUsableLba > header.lastUsableLba) {
    return impossible(`has usable LBAs from ${header.firstUsableLba} to ${header.lastUsableLba}`)
  }
  return undefined
}

/** One sector that holds `header`, CRC included; what lies after `headerSize` is zero, as the specification asks. */
export function encodeGptHeader(header: GptHeader, sectorSize: number): Uint8Array {
  const bytes = Buffer.alloc(sectorSize)
  signature.copy(bytes)
  bytes.writeUInt32LE(revision, 8)
  bytes.writeUInt32LE(header.headerSize, 12)
  bytes.writeBigUInt64LE(BigInt(header.myLba), 24)
  bytes.writeBigUInt64LE(BigInt(header.alternateLba), 32)
  bytes.writeBigUInt64LE(BigInt(header.firstUsableLba), 40)
  bytes.writeBigUInt64LE(BigInt(header.lastUsableLba), 48)
  bytes.set(header.diskGuid, 56)
  bytes.writeBigUInt64LE(BigInt(header.entriesLba), 72)
  bytes.writeUInt32LE(header.entryCount, 80)
  bytes.writeUInt32LE(header.entrySize, 84)
  bytes.writeUInt32LE(header.entriesCrc, 88)
  bytes.set(header.extra, minHeaderSize)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, header.headerSize)), 16)
  return bytes
}

/** The used entries of an array: those whose type GUID is not zero. */
export function decodeGptEntries(array: Uint8Array, entrySize: number): GptEntry[] {
  const entries: GptEntry[] = []
  for (let at = 0; at + entrySize <= array.length; at += entrySize) {
    const bytes = Buffer.from(array.buffer, array.byteOffset + at, entrySize)
    if (bytes.subarray(0, 16).every((byte) => byte === 0)) continue
    entries.push({
      number: at / entrySize + 1,
      type: guidText(bytes),
      guid: guidText(bytes.subarray(16)),
      startLba: Number(bytes.readBigUInt64LE(32)),
      endLba: Number(bytes.readBigUInt64LE(40)),
      name: bytes.toString('utf16le', 56, minEntrySize).split('\0', 1)[0] ?? '',
    })
  }
  return entries
}

/** One entry of `entrySize` bytes, attributes zero. `name` is at most 36 UTF-16 units. */
export function encodeGptEntry(
  entry: { type: Uint8Array; guid: Uint8Array; startLba: number; endLba: number; name: string },
  entrySize: number,
): Uint8Array {
  const bytes = Buffer.alloc(entrySize)
  bytes.set(entry.type, 0)
  bytes.set(entry.guid, 16)
  bytes.writeBigUInt64LE(BigInt(entry.startLba), 32)
  bytes.writeBigUInt64LE(BigInt(entry.endLba), 40)
  bytes.write(entry.name, 56, minEntrySize - 56, 'utf16le')
  return bytes
}

/** Gives the entry in slot `number` of `array` another last LBA, inclusive, in place. */
export function setEndLba(array: Uint8Array, number: number, endLba: number, entrySize: number): void {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.length)
  bytes.writeBigUInt64LE(BigInt(endLba), (number - 1) * entrySize + 40)
}
