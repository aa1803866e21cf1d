import { crc32 } from 'node:zlib'
import { bytesAt, past, type Story, StreamParser, type Want } from '../decode/stream-parser.ts'
import { damaged, needsMemory, unsupported } from './packing.ts'

/** Of the stream header and of its footer (xz file format 1.1.0 sections 2.1.1 and 2.1.2). */
const HEADER = 12
/** Bytes of a check behind a block, by its kind (section 2.1.1.2): none, CRC32, CRC64. Others are refused. */
const CHECKS = new Map([
  [0, 0],
  [1, 4],
  [4, 8],
])
const LZMA2 = 0x21
/** The largest that the decoder takes, and that xz -9 uses. */
const LARGEST_DICTIONARY = 64 * 1024 * 1024
const AS_USUAL = 'Compress the image with xz -9 or less, without further options.'

type Told<T> = Generator<Want, T, Uint8Array>

/** Follows one xz stream to its last byte without decoding it, and refuses what the decoder does not take. */
export class XzWalk {
  readonly #parser: StreamParser
  #end = Number.POSITIVE_INFINITY

  constructor(ramBytes: number) {
    this.#parser = new StreamParser(this.#story(Math.min(ramBytes, LARGEST_DICTIONARY)))
  }

  get ended(): boolean {
    return this.#end < Number.POSITIVE_INFINITY
  }

  /** Returns how many of the next bytes belong to the stream. Throws ImagingError. */
  pass(bytes: Uint8Array): number {
    const from = this.#parser.position
    this.#parser.push(bytes, from)
    return Math.min(bytes.length, this.#end - from)
  }

  *#story(largestDictionary: number): Story {
    const check = readStreamHeader(yield bytesAt(0, HEADER))
    let at = HEADER
    let blocks = 0
    for (;;) {
      const size = (yield bytesAt(at, 1))[0] as number
      if (size === 0) break
      at = yield* passBlock(at, size, check, largestDictionary)
      blocks++
    }
    at = yield* passIndex(at, blocks)
    yield past(at + HEADER)
    this.#end = at + HEADER
  }
}

/** Returns the length of the check behind each block. */
function readStreamHeader(bytes: Uint8Array): number {
  const header = Buffer.from(bytes)
  if (
    header.toString('latin1', 0, 6) !== '\xfd7zXZ\0' ||
    crc32(header.subarray(6, 8)) !== header.readUInt32LE(8)
  )
    throw damaged('xz')
  const check = header[6] === 0 ? CHECKS.get(header[7] as number) : undefined
  if (check === undefined)
    throw unsupported('xz', 'a kind of integrity check', 'Compress the image with xz --check=crc64.')
  return check
}

/** A block (section 3) whose header begins with `size`; returns where it ends. */
function* passBlock(at: number, size: number, check: number, largestDictionary: number): Told<number> {
  const length = (size + 1) * 4
  const header = Buffer.concat([Buffer.from([size]), yield bytesAt(at + 1, length - 1)])
  if (crc32(header.subarray(0, -4)) !== header.readUInt32LE(length - 4)) throw damaged('xz')
  const dictionary = readDictionarySize(header)
  if (dictionary > largestDictionary) throw needsMemory('xz', `a dictionary of ${dictionary} bytes`, AS_USUAL)
  const end = yield* passLzma2(at + length)
  return end + ((4 - (end % 4)) % 4) + check
}

/** Of a block that is compressed by LZMA2 and nothing else (sections 3.1 and 5.3.1). */
function readDictionarySize(header: Buffer): number {
  const flags = header[1] as number
  let at = 2
  for (const isThere of [flags & 0x40, flags & 0x80]) {
    if (isThere !== 0) while (((header[at++] ?? 0) & 0x80) !== 0);
  }
  const isAlone = (flags & 0x03) === 0 && header[at] === LZMA2 && header[at + 1] === 1
  if (!isAlone) throw unsupported('xz', 'a filter besides LZMA2', AS_USUAL)
  const bits = header[at + 2] as number
  if (bits > 40) throw damaged('xz')
  return bits === 40 ? 2 ** 32 - 1 : (2 + (bits & 1)) * 2 ** ((bits >> 1) + 11)
}

/** The chunks of LZMA2: a control byte, sizes, and what they tell; returns where they end. */
function* passLzma2(from: number): Told<number> {
  for (let at = from; ; ) {
    const control = (yield bytesAt(at, 1))[0] as number
    if (control === 0) return at + 1
    if (control >= 0x80) {
      const sizes = yield bytesAt(at + 3, 2)
      at += (control >= 0xc0 ? 6 : 5) + uint16(sizes) + 1
    } else if (control <= 2) {
      at += 3 + uint16(yield bytesAt(at + 1, 2)) + 1
    } else {
      throw damaged('xz')
    }
  }
}

/** The index (section 4), whose first byte has passed; returns where it ends. */
function* passIndex(from: number, blocks: number): Told<number> {
  let at = from + 1
  const pass = function* (): Told<number> {
    let value = 0
    for (let place = 0; place < 9; place++) {
      const byte = (yield bytesAt(at++, 1))[0] as number
      value += (byte & 0x7f) * 2 ** (7 * place)
      if (byte < 0x80) return value
    }
    throw damaged('xz')
  }
  if ((yield* pass()) !== blocks) throw damaged('xz')
  for (let number = 0; number < 2 * blocks; number++) yield* pass()
  return at + ((4 - ((at - from) % 4)) % 4) + 4
}

const uint16 = (bytes: Uint8Array): number => ((bytes[0] as number) << 8) | (bytes[1] as number)
