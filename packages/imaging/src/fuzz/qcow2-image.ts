import { deflateRawSync, zstdCompressSync } from 'node:zlib'
import type { Field } from './mutate.ts'
import type { Random } from './random.ts'

/** A qcow2 image and where its numbers stand. */
export interface Qcow2Image {
  file: Buffer
  clusterSize: number
  header: Field[]
  l1: Field[]
  /** Entries of all L2 tables; of extended ones both halves. */
  l2: Field[]
  refcountTable: Field[]
  refcounts: Field[]
}

const COPIED = 1n << 63n
const COMPRESSED = 1n << 62n

/** Of the specification's section "Header": offset and width. */
const HEADER: [at: number, bytes: Field['bytes']][] = [
  [0, 4],
  [4, 4],
  [8, 8],
  [16, 4],
  [20, 4],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 8],
  [48, 8],
  [56, 4],
  [60, 4],
  [64, 8],
  [72, 8],
  [80, 8],
  [88, 8],
  [96, 4],
  [100, 4],
  [104, 1],
  [112, 4],
  [116, 4],
]

interface Plan {
  version: 2 | 3
  bits: number
  clusterSize: number
  extended: boolean
  zstd: boolean
  /** Log2 of the bits of a refcount. */
  order: number
  size: number
  l2Span: number
  l2Entries: number
}

function plan(random: Random): Plan {
  const version = random.pick([2, 3, 3] as const)
  const bits = random.pick([9, 9, 9, 9, 9, 9, 10, 10, 11, 12, 12, random.chance(0.1) ? 14 : 9])
  const extended = bits === 14 && version === 3
  const clusterSize = 2 ** bits
  const l2Entries = clusterSize / (extended ? 16 : 8)
  const most = random.pick([1, 4, 20, 60, 3 * l2Entries])
  const sectors = random.between(1, Math.min((most * clusterSize) / 512, 128))
  return {
    version,
    bits,
    clusterSize,
    extended,
    zstd: version === 3 && random.chance(0.2),
    order: version === 2 ? 4 : random.pick([4, 4, 4, random.below(7)]),
    size: sectors * 512,
    l2Span: l2Entries * clusterSize,
    l2Entries,
  }
}

/** What a guest cluster is. `host` numbers the clusters of the file that are data. */
type Guest =
  | { kind: 'none' | 'zero' }
  | { kind: 'data' | 'allocated zero'; host: number }
  | { kind: 'compressed'; stream: Buffer; at: number }

/** A sound image of at most 64 KiB, in which "qemu-img check" finds nothing: its parts stand in any order. */
export function makeQcow2(random: Random): Qcow2Image {
  const it = plan(random)
  const { clusterSize } = it
  const streams = { bytes: 0 }
  let data = 0
  const guests = Array.from({ length: Math.ceil(it.size / clusterSize) }, (): Guest => {
    const kinds = ['none', 'data', 'data', 'data', 'compressed'] as const
    const kind = random.pick(it.version === 2 ? kinds : ([...kinds, 'zero', 'allocated zero'] as const))
    if (kind === 'none' || kind === 'zero') return { kind }
    // Some clusters are shown twice.
    if (kind !== 'compressed')
      return { kind, host: data > 0 && random.chance(0.05) ? random.below(data) : data++ }
    const stream = streamOf(it, random.below(4))
    const at = streams.bytes
    streams.bytes += stream.length
    return { kind, stream, at }
  })
  const l1Entries = Math.ceil(it.size / it.l2Span)
  const l1Size = l1Entries + (random.chance(0.1) ? random.between(1, 4) : 0)
  const used = Array.from({ length: l1Entries }, (_, index) =>
    guests.slice(index * it.l2Entries, (index + 1) * it.l2Entries).some(({ kind }) => kind !== 'none'),
  )
  const parts = new Map<string, number>([['l1', Math.ceil((l1Size * 8) / clusterSize)]])
  used.forEach((isUsed, index) => isUsed && parts.set(`l2 ${index}`, 1))
  for (let host = 0; host < data; host++) parts.set(`data ${host}`, 1)
  if (streams.bytes > 0) parts.set('streams', Math.ceil(streams.bytes / clusterSize))
  return build(it, guests, { l1Size, used }, place(it, parts, random), random)
}

/** Gives each part its first cluster, and the refcounts' tables theirs. */
function place(it: Plan, parts: Map<string, number>, random: Random) {
  const perBlock = (it.clusterSize * 8) / 2 ** it.order
  const sum = [...parts.values()].reduce((total, clusters) => total + clusters, 0)
  let blocks = 1
  while (blocks * perBlock < 1 + sum + blocks + Math.ceil((blocks * 8) / it.clusterSize)) blocks++
  parts.set('refcount table', Math.ceil((blocks * 8) / it.clusterSize))
  for (let block = 0; block < blocks; block++) parts.set(`refcount block ${block}`, 1)
  const order = [...parts.keys()]
  if (random.chance(0.7)) random.shuffle(order)
  const first = new Map<string, number>()
  let next = 1
  for (const name of order) {
    first.set(name, next)
    next += parts.get(name) ?? 0
  }
  return { first, clusters: next, blocks, tableClusters: parts.get('refcount table') ?? 1, parts }
}

function build(
  it: Plan,
  guests: Guest[],
  { l1Size, used }: { l1Size: number; used: boolean[] },
  placed: ReturnType<typeof place>,
  random: Random,
): Qcow2Image {
  const { clusterSize } = it
  const file = Buffer.alloc(placed.clusters * clusterSize)
  const at = (part: string): number => (placed.first.get(part) ?? 0) * clusterSize
  const counts = countRefs(it, guests, placed, at)
  const copied = (offset: number): bigint => (counts[offset / clusterSize] === 1 ? COPIED : 0n)
  const image: Qcow2Image = {
    file,
    clusterSize,
    header: [],
    l1: [],
    l2: [],
    refcountTable: [],
    refcounts: [],
  }
  image.header = HEADER.filter(([offset]) => it.version === 3 || offset < 72).map(([at, bytes]) => ({
    at,
    bytes,
  }))
  putHeader(
    file,
    it,
    { l1: at('l1'), l1Size, refcountTable: at('refcount table') },
    placed.tableClusters,
    random,
  )
  used.forEach((isUsed, index) => {
    const field = { at: at('l1') + index * 8, bytes: 8 as const }
    image.l1.push(field)
    const table = at(`l2 ${index}`)
    if (isUsed) file.writeBigUInt64BE(copied(table) | BigInt(table), field.at)
  })
  guests.forEach((guest, number) => {
    const width = it.extended ? 16 : 8
    const index = Math.floor(number / it.l2Entries)
    if (used[index] !== true) return
    const entry = at(`l2 ${index}`) + (number % it.l2Entries) * width
    for (let half = 0; half < width; half += 8) image.l2.push({ at: entry + half, bytes: 8 })
    if (guest.kind === 'compressed') {
      const offset = at('streams') + guest.at
      guest.stream.copy(file, offset)
      const more = Math.floor((offset + guest.stream.length - 1) / 512) - Math.floor(offset / 512)
      file.writeBigUInt64BE(COMPRESSED | (BigInt(more) << BigInt(70 - it.bits)) | BigInt(offset), entry)
      return
    }
    const host = 'host' in guest ? at(`data ${guest.host}`) : 0
    if ('host' in guest) file.fill(`guest cluster ${number} `, host, host + clusterSize)
    const isZero = guest.kind === 'zero' || guest.kind === 'allocated zero'
    const flags = isZero && !it.extended ? 1n : 0n
    file.writeBigUInt64BE((host === 0 ? 0n : copied(host) | BigInt(host)) | flags, entry)
    if (it.extended) file.writeBigUInt64BE(subclusters(guest.kind, random), entry + 8)
  })
  putRefcounts(image, it, counts, placed, at)
  return image
}

/** 32 bits "reads as zeros", 32 bits "allocated". */
function subclusters(kind: Guest['kind'], random: Random): bigint {
  if (kind === 'none') return 0n
  if (kind === 'zero' || kind === 'allocated zero') return 0xffff_ffffn << 32n
  if (random.chance(0.5)) return 0xffff_ffffn
  const allocated = random.below(2 ** 32) >>> 0
  return (BigInt((random.below(2 ** 32) & ~allocated) >>> 0) << 32n) | BigInt(allocated)
}

/** How often each cluster of the file is referred to. */
function countRefs(
  it: Plan,
  guests: Guest[],
  { parts, first, clusters }: ReturnType<typeof place>,
  at: (part: string) => number,
): number[] {
  const counts = Array.from({ length: clusters }, () => 0)
  const add = (cluster: number) => (counts[cluster] = (counts[cluster] ?? 0) + 1)
  add(0)
  for (const [part, length] of parts) {
    if (part.startsWith('data') || part === 'streams') continue
    for (let number = 0; number < length; number++) add((first.get(part) ?? 0) + number)
  }
  for (const guest of guests) {
    if ('host' in guest) add(at(`data ${guest.host}`) / it.clusterSize)
    if (guest.kind !== 'compressed') continue
    const from = at('streams') + guest.at
    const last = Math.floor((Math.ceil((from + guest.stream.length) / 512) * 512 - 1) / it.clusterSize)
    for (let cluster = Math.floor(from / it.clusterSize); cluster <= last; cluster++) add(cluster)
  }
  return counts
}

function putHeader(
  file: Buffer,
  it: Plan,
  tables: { l1: number; l1Size: number; refcountTable: number },
  tableClusters: number,
  random: Random,
): void {
  file.writeUInt32BE(0x514649fb, 0)
  file.writeUInt32BE(it.version, 4)
  file.writeUInt32BE(it.bits, 20)
  file.writeBigUInt64BE(BigInt(it.size), 24)
  file.writeUInt32BE(tables.l1Size, 36)
  file.writeBigUInt64BE(BigInt(tables.l1), 40)
  file.writeBigUInt64BE(BigInt(tables.refcountTable), 48)
  file.writeUInt32BE(tableClusters, 56)
  if (it.version === 2) return
  file.writeBigUInt64BE((it.zstd ? 8n : 0n) | (it.extended ? 16n : 0n), 72)
  file.writeUInt32BE(it.order, 96)
  file.writeUInt32BE(it.zstd || random.chance(0.5) ? 112 : 104, 100)
  if (it.zstd) file.writeUInt8(1, 104)
  if (random.chance(0.8)) return
  const at = file.readUInt32BE(100)
  file.writeUInt32BE(random.pick([0x6803f857, random.below(2 ** 31)]), at) // feature names, or what nobody knows
  file.writeUInt32BE(48, at + 4)
}

function putRefcounts(
  image: Qcow2Image,
  it: Plan,
  counts: number[],
  placed: ReturnType<typeof place>,
  at: (part: string) => number,
): void {
  const perBlock = (it.clusterSize * 8) / 2 ** it.order
  const bits = 2 ** it.order
  for (let block = 0; block < placed.blocks; block++) {
    const field = { at: at('refcount table') + block * 8, bytes: 8 as const }
    image.refcountTable.push(field)
    image.file.writeBigUInt64BE(BigInt(at(`refcount block ${block}`)), field.at)
  }
  counts.forEach((count, cluster) => {
    const base = at(`refcount block ${Math.floor(cluster / perBlock)}`)
    const index = cluster % perBlock
    if (bits < 8) {
      const byte = base + Math.floor((index * bits) / 8)
      image.file[byte] = (image.file[byte] as number) | (count << ((index * bits) % 8))
      image.refcounts.push({ at: byte, bytes: 1 })
      return
    }
    const bytes = (bits / 8) as Field['bytes']
    const field = { at: base + index * bytes, bytes }
    image.refcounts.push(field)
    image.file.writeUInt8(count, field.at + bytes - 1)
  })
}

const made = new Map<string, Buffer>()

/** A compressed cluster; the same again for the same content, which takes most of the time. */
function streamOf({ clusterSize, zstd }: Plan, content: number): Buffer {
  const key = `${clusterSize} ${zstd} ${content}`
  const known = made.get(key)
  if (known) return known
  const bytes = Buffer.alloc(clusterSize, `compressed content number ${content} `)
  if (content === 3) for (let at = 0; at < bytes.length; at += 7) bytes[at] = (at * 31) & 0xff
  const stream = zstd ? zstdCompressSync(bytes) : deflateRawSync(bytes, { windowBits: 12 })
  made.set(key, stream)
  return stream
}
