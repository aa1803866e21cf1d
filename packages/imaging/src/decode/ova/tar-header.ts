import { refuse } from '../refuse.ts'

/** Bytes. A tar file is made of blocks; a member's content is filled up to the next one. */
export const TAR_BLOCK = 512
const MAX_EXTENDED_BYTES = 64 * 1024
const REMEDY = 'Pack the OVA anew: tar --format=ustar, first the .ovf, then what it names.'

export interface TarMember {
  name: string
  /** Bytes. */
  size: number
  /** `pax` and `longname` (GNU's) are headers about the next member, of at most 64 KiB. */
  kind: 'file' | 'pax' | 'longname'
}

/**
 * Reads one header block (POSIX.1-2017, "ustar Interchange Format", with the GNU and pax additions that name a long path or size).
 * null: a block of zeros, with which the archive ends. Only regular files of a plain name are members of an OVA: a path, a link or
 * a device is refused. Nothing is ever made from a name. Throws ImagingError FORMAT.
 */
export function readTarHeader(block: Uint8Array): TarMember | null {
  if (block.every((byte) => byte === 0)) return null
  const bytes = Buffer.from(block.buffer, block.byteOffset, TAR_BLOCK)
  if (bytes.toString('latin1', 257, 262) !== 'ustar')
    throw refuse('The OVA is no tar archive in ustar format.', REMEDY)
  checkSum(bytes)
  const size = numberIn(bytes, 124, 12)
  const type = String.fromCodePoint(bytes[156] ?? 0)
  if (type === 'x' || type === 'L') {
    if (size > MAX_EXTENDED_BYTES) throw refuse(`The OVA has an extended header of ${size} bytes.`, REMEDY)
    return { name: '', size, kind: type === 'x' ? 'pax' : 'longname' }
  }
  if (type !== '0' && type !== '\0')
    throw refuse(`The OVA has a member of type ${shownType(type)}; only files may be in it.`, REMEDY)
  const name = textIn(bytes, 0, 100)
  if (textIn(bytes, 345, 155) !== '') throw refuse('The OVA has a member in a folder.', REMEDY)
  return { name: checkName(name), size, kind: 'file' }
}

/** Name of the next member, from a GNU header of type L: it ends with a NUL. Throws ImagingError FORMAT. */
export function readLongName(content: Uint8Array): { name: string } {
  return { name: checkName(textIn(bufferOf(content), 0, content.length)) }
}

/**
 * Name and size of the next member, where a pax header gives them in its records `LENGTH KEY=VALUE\n`. Throws ImagingError FORMAT, also
 * for a member that GNU tar stored without its holes: its content is not what stands in the archive.
 */
export function readPax(content: Uint8Array): { name?: string; size?: number } {
  const bytes = bufferOf(content)
  const found: { name?: string; size?: number } = {}
  for (let at = 0; at < bytes.length; ) {
    const length = Number(/^([0-9]{1,6}) /.exec(bytes.toString('latin1', at, at + 8))?.[1])
    if (!(length > 3) || at + length > bytes.length) throw refuse('The OVA has a damaged pax header.', REMEDY)
    const record = bytes
      .toString('utf8', at, at + length)
      .replace(/^[0-9]+ /, '')
      .replace(/\n$/, '')
    const key = record.slice(0, record.indexOf('='))
    const value = record.slice(key.length + 1)
    if (key === 'path') found.name = checkName(value)
    if (key === 'size') found.size = sizeOf(value)
    if (key === 'linkpath') throw refuse('The OVA has a link in it.', REMEDY)
    if (key.startsWith('GNU.sparse.'))
      throw refuse('The OVA has a member that tar stored as a sparse file.', REMEDY)
    at += length
  }
  return found
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

function sizeOf(text: string): number {
  const size = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(size)) throw refuse('The OVA has a member of an impossible size.', REMEDY)
  return size
}

function checkName(name: string): string {
  const bare = name.replace(/^\.\//, '')
  const plain = /^[^/\\\0]{1,255}$/.test(bare) && bare !== '.' && bare !== '..'
  if (!plain) throw refuse('The OVA has a member whose name is not a plain file name.', REMEDY)
  return bare
}

/** The unsigned sum of all bytes, with blanks for the field itself. */
function checkSum(bytes: Buffer): void {
  let sum = 8 * 0x20
  for (let at = 0; at < TAR_BLOCK; at++) if (at < 148 || at >= 156) sum += bytes[at] ?? 0
  if (sum !== numberIn(bytes, 148, 8)) throw refuse('The OVA has a tar header with a wrong checksum.', REMEDY)
}

/** Octal digits, or GNU's base 256 for 8 GiB and more. */
function numberIn(bytes: Buffer, at: number, length: number): number {
  const field = bytes.subarray(at, at + length)
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
    return sizeOf(String(value))
  }
  const digits = /^[ \0]*([0-7]{1,12})[ \0]*$/.exec(field.toString('latin1'))?.[1]
  if (digits === undefined) throw refuse('The OVA has a tar header with a damaged number.', REMEDY)
  return Number.parseInt(digits, 8)
}

const textIn = (bytes: Buffer, at: number, length: number): string =>
  bytes.toString('utf8', at, at + length).replace(/\0.*$/s, '')

const shownType = (type: string): string => (/^[0-9A-Za-z]$/.test(type) ? type : 'unknown')
