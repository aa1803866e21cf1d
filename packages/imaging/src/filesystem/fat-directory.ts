import { clusterOffset, type FatVolume, nextCluster } from './fat.ts'
import { VolumeFault } from './volume.ts'

/** A file or directory. Volume labels, `.` and `..` are left out. */
export interface FatEntry {
  /** The long name, or the short one where that is all there is. Compare without regard to case. */
  name: string
  isDirectory: boolean
  /** First cluster; 0 for an empty file. */
  cluster: number
  /** Bytes; 0 for a directory. */
  size: number
}

const entrySize = 32
/** A directory has at most 65536 entries. */
const maxBytes = 65536 * entrySize
const PIECE = 4096
const [end, deleted, dot] = [0x00, 0xe5, 0x2e]
const [volumeLabel, directory, longName] = [0x08, 0x10, 0x0f]
const unitsPerPart = 13

/** The entries of a directory; of the root directory without `cluster`. Throws VolumeFault where it is broken. */
export async function readFatDirectory(fat: FatVolume, cluster?: number): Promise<FatEntry[]> {
  const entries: FatEntry[] = []
  const long = new LongName()
  for await (const bytes of directoryBytes(fat, cluster)) {
    for (let at = 0; at + entrySize <= bytes.length; at += entrySize) {
      const raw = bytes.subarray(at, at + entrySize)
      if (raw[0] === end) return entries
      if (((raw[11] ?? 0) & 0x3f) === longName && raw[0] !== deleted) long.add(raw)
      else {
        const name = long.take(raw)
        if (isListed(raw)) entries.push(entryOf(fat, raw, name ?? shortName(raw)))
      }
    }
  }
  return entries
}

/** Pieces of a directory, which mostly end in the first. */
async function* directoryBytes(fat: FatVolume, cluster: number | undefined): AsyncGenerator<Buffer> {
  const { root } = fat
  if (cluster === undefined && 'offset' in root) {
    yield* pieces(fat, root.offset, root.length)
    return
  }
  let next: number | null = cluster ?? ('cluster' in root ? root.cluster : 0)
  for (let read = 0; next !== null; read += fat.clusterSize) {
    if (read >= maxBytes) throw new VolumeFault('has a directory without an end')
    yield* pieces(fat, clusterOffset(fat, next), fat.clusterSize)
    next = await nextCluster(fat, next)
  }
}

async function* pieces({ volume }: FatVolume, offset: number, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; at += PIECE)
    yield await volume.read(offset + at, Math.min(PIECE, length - at))
}

function isListed(raw: Buffer): boolean {
  const isLabel = ((raw[11] ?? 0) & volumeLabel) !== 0
  return raw[0] !== deleted && raw[0] !== dot && !isLabel
}

function entryOf({ bits }: FatVolume, raw: Buffer, name: string): FatEntry {
  const isDirectory = ((raw[11] ?? 0) & directory) !== 0
  const high = bits === 32 ? raw.readUInt16LE(20) : 0 // another use on FAT12 and FAT16
  return {
    name,
    isDirectory,
    cluster: high * 0x1_0000 + raw.readUInt16LE(26),
    size: isDirectory ? 0 : raw.readUInt32LE(28),
  }
}

/** The 8.3 name. Byte 12 says which halves are meant in lower case, as Windows NT writes them. */
function shortName(raw: Buffer): string {
  const bytes = Buffer.from(raw.subarray(0, 11))
  if (bytes[0] === 0x05) bytes[0] = deleted // a first byte of E5 is written so
  const part = (from: number, to: number, flag: number): string => {
    const text = bytes.toString('latin1', from, to).trimEnd()
    return ((raw[12] ?? 0) & flag) === 0 ? text : text.toLowerCase()
  }
  const [base, extension] = [part(0, 8, 0x08), part(8, 11, 0x10)]
  return extension === '' ? base : `${base}.${extension}`
}

/** Collects the parts of a long name, which stand before the short entry that they belong to, last part first. */
class LongName {
  #parts: string[] = []
  #checksum = 0
  /** Number of the next part; 0: the entry itself; -1: none. */
  #expected = -1

  add(raw: Buffer): void {
    const order = (raw[0] ?? 0) & 0x3f
    const isFirst = ((raw[0] ?? 0) & 0x40) !== 0
    if (isFirst) this.#parts = []
    else if (order !== this.#expected || raw[13] !== this.#checksum) return this.#drop()
    this.#checksum = raw[13] ?? 0
    this.#expected = order - 1
    const units = Buffer.concat([raw.subarray(1, 11), raw.subarray(14, 26), raw.subarray(28, 32)])
    this.#parts.unshift(units.toString('utf16le', 0, unitsPerPart * 2))
  }

  /** The name for the entry `raw`, or null where the parts are not a whole name of it. */
  take(raw: Buffer): string | null {
    const isWhole = this.#expected === 0 && this.#checksum === checksumOf(raw)
    const name = isWhole ? this.#parts.join('').split('\0', 1)[0] : null
    this.#drop()
    return name || null
  }

  #drop(): void {
    this.#parts = []
    this.#expected = -1
  }
}

/** Over the 11 bytes of the short name. */
const checksumOf = (raw: Buffer): number =>
  raw.subarray(0, 11).reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0)
