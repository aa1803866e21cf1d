/**
 * For tests: qcow2 images that are refused before any of their data is written, each with the class of hostile files that it is one
 * spelling of.
 */
import type { ImagingError } from '../error.ts'
import {
  AT,
  CLUSTER,
  COMPRESSED,
  compressedEntry,
  COPIED,
  deflated,
  extendedImage,
  plainImage,
  setL2,
} from './test-images.ts'

/** Bytes of the disk that `code` and `says` are meant for. */
export const REFUSING_DISK = 1 << 30

export interface Qcow2Refusal {
  row: string
  what: string
  image: () => Buffer
  code: ImagingError['code']
  says: RegExp
  /** The first MiB of the file shows it, so that even what comes as a stream leaves the disk untouched. */
  inHeader: boolean
}

type Row = [what: string, image: () => Buffer, says: RegExp, code?: ImagingError['code']]

export const patched = (patch: (image: Buffer) => void): Buffer => {
  const image = plainImage()
  patch(image)
  return image
}
const u32 = (at: number, value: number) => () => patched((image) => image.writeUInt32BE(value >>> 0, at))
const u64 = (at: number, value: bigint) => () => patched((image) => image.writeBigUInt64BE(value, at))
export const bit = (number: number) => u64(72, 1n << BigInt(number))
const l1 = (entry: bigint) => u64(AT.l1, entry)
const l2 = (entry: bigint) => u64(AT.l2, entry)

/** With a header extension; without `data` its length is all that there is of it. */
export const extension = (type: number, length: number, data = '') =>
  patched((image) => {
    image.writeUInt32BE(type, 104)
    image.writeUInt32BE(length >>> 0, 108)
    image.write(data, 112, 'latin1')
  })

const compressionType = (type: number, incompatible: bigint) => () =>
  patched((image) => {
    image.writeUInt32BE(112, 100)
    image.writeUInt8(type, 104)
    image.writeBigUInt64BE(incompatible, 72)
  })

/** Names that must never be opened nor connected to; `/dev/zero` would never end. */
export const FOREIGN = [
  '/etc/passwd',
  '../../etc/passwd',
  '/dev/zero',
  '/proc/self/environ',
  'json:{"driver":"file","filename":"/etc/passwd"}',
  'json:{"file.driver":"https","file.url":"https://127.0.0.1/"}',
  'nbd://127.0.0.1:10809/x',
  'nbd:unix:/run/docker.sock',
  'http://127.0.0.1:1/secret',
  'ssh://root@127.0.0.1/etc/shadow',
  'fat:/etc',
  'rbd:pool/image',
]

export const backingFile = (name: string, version = 3) =>
  patched((image) => {
    image.writeUInt32BE(version, 4)
    image.writeBigUInt64BE(512n, 8)
    image.writeUInt32BE(name.length, 16)
    image.write(name, 512, 'latin1')
  })

export const dataFile = (name: string, features: bigint) => {
  const image = extension(0x44415441, name.length, name)
  image.writeBigUInt64BE(features, 72)
  return image
}

/** With the LUKS header that such an image really has. */
function luks(): Buffer {
  const image = extension(0x0537be77, 16)
  image.writeUInt32BE(2, 32)
  image.writeBigUInt64BE(BigInt(AT.data), 112)
  image.write('LUKS\xba\xbe\0\x01aes', AT.data, 'latin1')
  return image
}

/** One L2 table of 8,192 entries of 64 KiB clusters, used by 1,024 L1 entries: 512 GiB out of 589 KB. */
export function bomb(): Buffer {
  const size = 65536
  const image = Buffer.alloc(9 * size, 1)
  image.fill(0, 0, 4 * size)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(16, 20)
  image.writeBigUInt64BE(1n << 39n, 24)
  image.writeUInt32BE(1024, 36)
  image.writeBigUInt64BE(BigInt(2 * size), 40)
  image.writeBigUInt64BE(BigInt(size), 48)
  for (let i = 0; i < 1024; i++) image.writeBigUInt64BE(BigInt(3 * size), 2 * size + 8 * i)
  for (let i = 0; i < 8192; i++) image.writeBigUInt64BE(BigInt((4 + (i % 5)) * size), 3 * size + 8 * i)
  return image
}

/** 512-byte clusters: one L2 table of 64 compressed entries, used by 60,000 L1 entries, in 482 KB. */
export function compressedBomb(): Buffer {
  const image = Buffer.alloc(4 * 512 + 60_000 * 8 + 512)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(9, 20)
  image.writeBigUInt64BE(60_000n * 64n * 512n, 24)
  image.writeUInt32BE(60_000, 36)
  image.writeBigUInt64BE(2048n, 40)
  image.writeBigUInt64BE(512n, 48)
  image.set(deflated(512), 1536)
  for (let i = 0; i < 60_000; i++) image.writeBigUInt64BE(1024n, 2048 + 8 * i)
  for (let i = 0; i < 64; i++) image.writeBigUInt64BE(compressedEntry(1536, 0), 1024 + 8 * i)
  return image
}

/** Clusters of 512 bytes, and `count` L1 entries that all hold `entry`; the L2 table at 1024 holds `l2Entry` once. */
export function wideImage(count: number, entry: bigint, l2Entry = 0n): Buffer {
  const image = Buffer.alloc(2048 + count * 8 + 512)
  plainImage().copy(image, 0, 0, 104)
  image.writeUInt32BE(9, 20)
  image.writeBigUInt64BE(BigInt(count) * 64n * 512n, 24)
  image.writeUInt32BE(count, 36)
  image.writeBigUInt64BE(2048n, 40)
  image.writeBigUInt64BE(512n, 48)
  image.writeBigUInt64BE(l2Entry, 1024)
  for (let i = 0; i < count; i++) image.writeBigUInt64BE(entry, 2048 + 8 * i)
  return image
}

const HEADER: Record<string, Row[]> = {
  'I5.51': [
    ['bad magic', u32(0, 0x514649fa), /magic|not \(its first/],
    ['a magic of version 1 of another byte order', u32(0, 0xfb494651), /magic|not \(its first/],
    ['a magic in lower case', u32(0, 0x716669fb), /magic|not \(its first/],
    ...[0, 1, 4, 256, 2 ** 24 * 3, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`version ${v}`, u32(4, v), /version/],
    ),
  ],
  'I5.52': [0, 1, 8, 22, 31, 32, 63, 64, 2 ** 31, 2 ** 32 - 1].map(
    (v): Row => [`cluster_bits ${v}`, u32(20, v), /cluster size/],
  ),
  'I5.53': [
    ['a backing file without a name', u64(8, 112n), /backing files are not allowed/],
    ['a backing file far away', u64(8, 2n ** 64n - 1n), /backing files are not allowed/],
    [
      'a backing file name of 2^32-1 bytes',
      () => patched((i) => (i.writeUInt32BE(8, 12), i.writeUInt32BE(2 ** 32 - 1, 16))),
      /backing/,
    ],
    ...FOREIGN.flatMap((name): Row[] => [
      [`the backing file ${name}`, () => backingFile(name), /backing files are not allowed/],
      [`the backing file ${name} in version 2`, () => backingFile(name, 2), /backing files are not allowed/],
    ]),
  ],
  'I5.54': [
    ['the data file bit', bit(2), /external data file/],
    ...FOREIGN.flatMap((name): Row[] => [
      [`the data file ${name} without its bit`, () => dataFile(name, 0n), /external data file/],
      [`the data file ${name}`, () => dataFile(name, 4n), /external data file/],
    ]),
  ],
  'I5.55': [
    ['the corrupt bit', bit(1), /marked as corrupt/],
    ['the corrupt and the dirty bit', u64(72, 3n), /marked as corrupt/],
  ],
  'I5.56': Array.from(
    { length: 59 },
    (_, i): Row => [`incompatible bit ${i + 5}`, bit(i + 5), new RegExp(`bit ${i + 5}\\b`)],
  ),
  'I5.57': [
    ['AES', u32(32, 1), /encrypted \(AES\)/],
    ['LUKS', u32(32, 2), /encrypted \(LUKS\)/],
    ['LUKS with its header', luks, /encrypted \(LUKS\)/],
    ...[3, 2 ** 31, 2 ** 32 - 1].map((v): Row => [`crypt_method ${v}`, u32(32, v), /encrypted/]),
    ['an encryption header without a method', () => extension(0x0537be77, 16), /encryption/],
  ],
  'I5.58': [
    ...[0, 2 ** 22 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`L1 size ${v}`, u32(36, v), /L1 table/],
    ),
    ...[0n, 1n, 511n, 12289n, 1n << 40n, 1n << 53n, 1n << 63n, 2n ** 64n - 4096n].map(
      (v): Row => [`L1 offset ${v}`, u64(40, v), /L1 table/],
    ),
    ['an L1 table over the refcount table', u64(40, BigInt(CLUSTER)), /overlap/],
  ],
  'I5.59': [
    ['virtual size 0', u64(24, 0n), /virtual size/],
    [
      'a disk smaller by one sector',
      u64(24, BigInt(REFUSING_DISK) + 512n),
      new RegExp(`${REFUSING_DISK + 512} bytes`),
      'DISK',
    ],
    ...[1n << 46n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 1n << 63n, 2n ** 64n - 1n].map(
      (v): Row => [`virtual size ${v}`, u64(24, v), new RegExp(`${v} bytes`), 'DISK'],
    ),
  ],
  'I5.60': [
    ...[0, 71, 72, 103, 105, 108, 4104, 2 ** 31, 2 ** 32 - 8, 2 ** 32 - 1].map(
      (v): Row => [`header_length ${v}`, u32(100, v), /header length/],
    ),
    ...[4000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`a header extension of ${v} bytes`, () => extension(0x1234, v), /extension/],
    ),
    ...[7, 63, 2 ** 32 - 1].map((v): Row => [`refcount order ${v}`, u32(96, v), /refcount order/]),
    ...[0, 2049, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`a refcount table of ${v} clusters`, u32(56, v), /refcount table/],
    ),
    ...[0n, 4097n, 1n << 40n, 1n << 60n, 2n ** 64n - 4096n].map(
      (v): Row => [`refcount table offset ${v}`, u64(48, v), /refcount table/],
    ),
    ...[65537, 2 ** 31, 2 ** 32 - 1].map((v): Row => [`${v} snapshots`, u32(60, v), /snapshots/]),
    ...[77n, 0n, 1n << 60n].map(
      (v): Row => [
        `a snapshot table at ${v}`,
        () => patched((i) => (i.writeUInt32BE(1, 60), i.writeBigUInt64BE(v, 64))),
        /snapshot table/,
      ],
    ),
  ],
  'I5.61': [
    ...[2, 3, 255].map(
      (v): Row => [`compression type ${v}`, compressionType(v, 8n), new RegExp(`compression type ${v}`)],
    ),
    ['compression type 2 without its bit', compressionType(2, 0n), /compression type 2/],
    ['compression type 1 without its bit', compressionType(1, 0n), /contradict/],
    ['the compression bit without a type', compressionType(0, 8n), /contradict/],
    ['the compression bit, type not present', bit(3), /contradict/],
  ],
  'I5.64': [['512 GiB in 589 KB, larger than the disk', bomb, /bytes, (but|while) the disk .*has/, 'DISK']],
  'I5.66': [0, 1, 3, 4, 23, 24, 71, 72, 103, 104, 111].map(
    (v): Row => [
      `an image cut at ${v}`,
      () => plainImage().subarray(0, v),
      /cut off|behind its end|empty|not \(its first/,
    ],
  ),
  'I5.67': [['extended L2 in clusters of 4 KiB', bit(4), /Extended L2/]],
}

const TABLES: Record<string, Row[]> = {
  'I5.62': [
    ...[8 * CLUSTER, 8 * CLUSTER - 512, 2 ** 40].map(
      (v): Row => [`an L1 entry to ${v}, behind the end`, l1(BigInt(v)), /L1 entry 0/],
    ),
    ['an L1 entry above 2^53', l1(1n << 55n), /L1 entry 0/],
    ...[512n, 2048n].map(
      (v): Row => [`an L1 entry ${v} bytes off its cluster`, l1(BigInt(AT.l2) + v), /L1 entry 0/],
    ),
    ['an L1 entry to the header', l1(512n), /L1 entry 0/],
    ['an L1 entry to the L1 table', l1(BigInt(AT.l1)), /L1 entry 0/],
    ['an L1 entry to the refcount table', l1(BigInt(AT.refcountTable)), /L1 entry 0/],
    ['an L1 entry in use without an offset', l1(COPIED), /L1 entry 0/],
    ...[0n, 1n, 8n, 56n, 57n, 61n, 62n].map(
      (v): Row => [`bit ${v} in an L1 entry`, l1(BigInt(AT.l2) | (1n << v)), /reserved/],
    ),
  ],
  'I5.63': [
    ...[8 * CLUSTER, 2 ** 40].map(
      (v): Row => [`an L2 entry to ${v}, behind the end`, l2(BigInt(v)), /behind its end/],
    ),
    ['an L2 entry above 2^53', l2(1n << 55n), /behind its end/],
    ['an L2 entry off its cluster', l2(BigInt(AT.data) + 512n), /L2 entry 0/],
    ['an L2 entry to the header', l2(512n), /L2 entry 0|header/],
    ...(['refcountTable', 'l1', 'l2'] as const).map(
      (v): Row => [`an L2 entry to ${v}`, l2(BigInt(AT[v])), /a table/],
    ),
    ['an L2 entry in use without an offset', l2(COPIED), /no offset/],
    ...[1n, 4n, 8n, 56n, 58n, 61n].map(
      (v): Row => [`bit ${v} in an L2 entry`, l2(BigInt(AT.data) | (1n << v)), /reserved/],
    ),
    [
      'the zero flag in version 2',
      () => patched((i) => (i.writeUInt32BE(2, 4), setL2(i, 0, 1n))),
      /zero flag/,
    ],
  ],
  'I5.65': [
    ['a cluster of zeros behind the end', l2((1n << 40n) | 1n), /behind its end/],
    ['a cluster of zeros off its cluster', l2(BigInt(AT.data) + 513n), /L2 entry 0/],
    ['a compressed cluster behind the end', l2(compressedEntry(1 << 30, 0)), /behind its end/],
    [
      'a compressed cluster that ends behind the end',
      l2(compressedEntry(8 * CLUSTER - 512, 1)),
      /behind its end/,
    ],
    [
      'a compressed cluster with the most sectors',
      l2(compressedEntry(8 * CLUSTER - 1024, 15)),
      /behind its end/,
    ],
    ['a compressed cluster in the header', l2(compressedEntry(200, 0)), /header/],
    ['a compressed cluster in the L2 table', l2(compressedEntry(AT.l2 + 8, 0)), /table/],
    ['bit 57 in a compressed offset', l2(COMPRESSED | (1n << 57n) | BigInt(AT.data)), /reserved/],
  ],
  'I5.66': [
    CLUSTER,
    AT.refcountTable + 8,
    AT.refcountBlock,
    AT.l1,
    AT.l1 + 7,
    AT.l2,
    AT.l2 + 100,
    AT.data,
    AT.data + CLUSTER + 1,
    8 * CLUSTER - 1,
  ].map((v): Row => [`an image cut at ${v}`, () => plainImage().subarray(0, v), /cut off|behind its end/]),
  'I5.67': [
    [
      'a subcluster both zero and allocated',
      () => extendedImage(0x0000_0001_0000_0001n),
      /both zero and allocated/,
    ],
    ['the last subcluster both', () => extendedImage(0x8000_0000_8000_0000n), /both zero and allocated/],
    ['all subclusters both', () => extendedImage(2n ** 64n - 1n), /both zero and allocated/],
    ['subclusters without an offset', () => extendedImage(1n, 0n), /no offset/],
    ['the zero flag with extended L2', () => extendedImage(1n, 5n * 16384n + 1n), /reserved/],
  ],
}

const listed = (rows: Record<string, Row[]>, inHeader: boolean): Qcow2Refusal[] =>
  Object.entries(rows).flatMap(([row, of]) =>
    of.map(([what, image, says, code = 'FORMAT']) => ({ row, what, image, code, says, inHeader })),
  )

export const qcow2Refusals: readonly Qcow2Refusal[] = [...listed(HEADER, true), ...listed(TABLES, false)]
