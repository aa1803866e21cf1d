import { deflateSync } from 'node:zlib'
import { bendField, damage, type Field, mutated, readField, writeField } from './mutate.ts'
import type { Random } from './random.ts'

const SECTOR = 512
const PER_TABLE = 512
const AT_END = 0xffff_ffff_ffff_ffffn
const MARKER = { end: 0, table: 1, directory: 2, footer: 3 }

/** Of the header (VMware, "Virtual Disk Format 5.0"). */
const HEADER: Field[] = [
  { at: 0, bytes: 4 },
  { at: 4, bytes: 4 },
  { at: 8, bytes: 4 },
  { at: 12, bytes: 8 },
  { at: 20, bytes: 8 },
  { at: 28, bytes: 8 },
  { at: 36, bytes: 8 },
  { at: 44, bytes: 4 },
  { at: 48, bytes: 8 },
  { at: 56, bytes: 8 },
  { at: 64, bytes: 8 },
  { at: 73, bytes: 4 },
  { at: 77, bytes: 2 },
]

/** A VMDK and where its numbers stand. */
export interface VmdkFile {
  file: Buffer
  capacity: number
  header: Field[]
  footer: Field[]
  markers: Field[]
  entries: Field[]
}

/** The parts of a file in their order; each begins on a sector. */
class Sectors {
  readonly #parts: Buffer[] = []
  /** Where the next part begins, in sectors. */
  next = 0

  add(bytes: Buffer): number {
    const start = this.next
    const padded = Buffer.concat([bytes], Math.ceil(bytes.length / SECTOR) * SECTOR)
    this.#parts.push(padded)
    this.next += padded.length / SECTOR
    return start
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

const grains = new Map<string, Buffer>()

/** A compressed grain; the same again for the same content, which takes most of the time. */
function grainOf(bytes: number, content: number): Buffer {
  const key = `${bytes} ${content}`
  const made = grains.get(key) ?? deflateSync(Buffer.alloc(bytes, `grain content ${content} `))
  grains.set(key, made)
  return made
}

function headerOf(capacity: number, grainSectors: number, directory: bigint, overhead: number): Buffer {
  const header = Buffer.alloc(SECTOR)
  header.write('KDMV', 0, 'latin1')
  header.writeUInt32LE(3, 4)
  header.writeUInt32LE(0x30001, 8)
  header.writeBigUInt64LE(BigInt(capacity / SECTOR), 12)
  header.writeBigUInt64LE(BigInt(grainSectors), 20)
  header.writeBigUInt64LE(1n, 28)
  header.writeBigUInt64LE(1n, 36)
  header.writeUInt32LE(PER_TABLE, 44)
  header.writeBigUInt64LE(directory, 56)
  header.writeBigUInt64LE(BigInt(overhead), 64)
  header.write('\n \r\n', 73, 'latin1')
  header.writeUInt16LE(1, 77)
  return header
}

function descriptorOf(capacity: number, random: Random): Buffer {
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=278f54ff',
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    `RDONLY ${capacity / SECTOR} SPARSE "disk.vmdk"`,
    '#DDB',
    'ddb.adapterType = "lsilogic"',
  ]
  if (random.chance(0.1)) {
    const odd = [
      'parentFileNameHint="/etc/shadow"',
      'createType="twoGbMaxExtentSparse"',
      'RW 1 FLAT "/dev/sda" 0',
      '\xff',
    ]
    lines[random.below(lines.length)] = random.pick([...odd, ...lines, ''])
  }
  return Buffer.from(`${lines.join(random.pick(['\n', '\r\n']))}\n`, 'latin1')
}

/** A sound streamOptimized VMDK of 4 KiB grains: its tables behind its grains, as VMware writes it, or before, as qemu-img does. */
export function makeVmdkFile(random: Random): VmdkFile {
  const grainSectors = random.pick([8, 8, 8, 16])
  const grainSize = grainSectors * SECTOR
  const count = random.pick([1, 20, 500, PER_TABLE + 30, 3 * PER_TABLE])
  const capacity = count * grainSize - (random.chance(0.2) ? 1024 : 0)
  const chosen = new Set(Array.from({ length: random.below(9) }, () => random.below(count)))
  const numbers = [...chosen].sort((a, b) => a - b)
  const size = (number: number) => Math.min(grainSize, capacity - number * grainSize)
  const grain = (number: number) => grainOf(random.chance(0.5) ? size(number) : grainSize, random.below(4))
  const plan: Plan = { capacity, grainSectors, tables: Math.ceil(count / PER_TABLE), numbers, grain }
  return random.chance(0.6) ? tablesLast(plan, random) : tablesFirst(plan, random)
}

interface Plan {
  capacity: number
  grainSectors: number
  tables: number
  /** Grains that are there. */
  numbers: number[]
  grain: (number: number) => Buffer
}

const empty = (capacity: number): VmdkFile => ({
  file: Buffer.alloc(0),
  capacity,
  header: HEADER,
  footer: [],
  markers: [],
  entries: [],
})

function addGrain(out: Sectors, vmdk: VmdkFile, { grainSectors, grain }: Plan, number: number): number {
  const stream = grain(number)
  const marker = Buffer.alloc(12)
  marker.writeBigUInt64LE(BigInt(number * grainSectors), 0)
  marker.writeUInt32LE(stream.length, 8)
  const at = out.next * SECTOR
  vmdk.markers.push({ at, bytes: 8 }, { at: at + 8, bytes: 4 })
  return out.add(Buffer.concat([marker, stream]))
}

function addMarker(out: Sectors, vmdk: VmdkFile, sectors: number, type: number): void {
  const marker = Buffer.alloc(SECTOR)
  marker.writeBigUInt64LE(BigInt(sectors), 0)
  marker.writeUInt32LE(type, 12)
  const at = out.next * SECTOR
  vmdk.markers.push({ at, bytes: 8 }, { at: at + 8, bytes: 4 }, { at: at + 12, bytes: 4 })
  out.add(marker)
}

function tablesLast(plan: Plan, random: Random): VmdkFile {
  const vmdk = empty(plan.capacity)
  const out = new Sectors()
  const header = headerOf(plan.capacity, plan.grainSectors, AT_END, 2)
  out.add(header)
  out.add(Buffer.concat([descriptorOf(plan.capacity, random)], SECTOR))
  const directory = Buffer.alloc(plan.tables * 4)
  for (let table = 0; table < plan.tables; table++) {
    const inside = plan.numbers.filter((number) => Math.floor(number / PER_TABLE) === table)
    if (random.chance(0.3)) random.shuffle(inside)
    const entries = Buffer.alloc(PER_TABLE * 4)
    for (const number of inside)
      entries.writeUInt32LE(addGrain(out, vmdk, plan, number), (number % PER_TABLE) * 4)
    if (inside.length === 0 && random.chance(0.8)) continue
    addMarker(out, vmdk, 4, MARKER.table)
    vmdk.entries.push(
      ...inside.map((number): Field => ({ at: out.next * SECTOR + (number % PER_TABLE) * 4, bytes: 4 })),
    )
    directory.writeUInt32LE(out.add(entries), table * 4)
  }
  addMarker(out, vmdk, Math.ceil(directory.length / SECTOR), MARKER.directory)
  const at = out.add(directory)
  for (let table = 0; table < plan.tables; table++)
    vmdk.entries.push({ at: at * SECTOR + table * 4, bytes: 4 })
  addMarker(out, vmdk, 1, MARKER.footer)
  vmdk.footer = HEADER.map((field) => ({ ...field, at: field.at + out.next * SECTOR }))
  out.add(headerOf(plan.capacity, plan.grainSectors, BigInt(at), 2))
  addMarker(out, vmdk, 0, MARKER.end)
  return { ...vmdk, file: out.finish() }
}

function tablesFirst(plan: Plan, random: Random): VmdkFile {
  const vmdk = empty(plan.capacity)
  const { tables, numbers } = plan
  const used = Array.from({ length: tables }, (_, table) => table).filter(
    (table) => random.chance(0.3) || numbers.some((number) => Math.floor(number / PER_TABLE) === table),
  )
  const directory = Buffer.alloc(tables * 4)
  const overhead = 3 + 4 * used.length
  used.forEach((table, index) => directory.writeUInt32LE(3 + 4 * index, table * 4))
  const entries = used.map(() => Buffer.alloc(PER_TABLE * 4))
  const grainsOut = new Sectors()
  grainsOut.add(Buffer.alloc(overhead * SECTOR))
  for (const number of random.chance(0.3) ? random.shuffle([...numbers]) : numbers) {
    const index = used.indexOf(Math.floor(number / PER_TABLE))
    entries[index]?.writeUInt32LE(addGrain(grainsOut, vmdk, plan, number), (number % PER_TABLE) * 4)
    vmdk.entries.push({ at: (3 + 4 * index) * SECTOR + (number % PER_TABLE) * 4, bytes: 4 })
  }
  if (random.chance(0.7)) addMarker(grainsOut, vmdk, 0, MARKER.end)
  const out = new Sectors()
  out.add(headerOf(plan.capacity, plan.grainSectors, 2n, overhead))
  out.add(Buffer.concat([descriptorOf(plan.capacity, random)], SECTOR))
  out.add(directory)
  for (let table = 0; table < tables; table++) vmdk.entries.push({ at: 2 * SECTOR + table * 4, bytes: 4 })
  for (const table of entries) out.add(table)
  return { ...vmdk, file: Buffer.concat([out.finish(), grainsOut.finish().subarray(overhead * SECTOR)]) }
}

/** With up to four changes. */
export function makeMutatedVmdk(random: Random): { file: Buffer; capacity: number } {
  const vmdk = makeVmdkFile(random)
  const all = [...vmdk.header, ...vmdk.footer, ...vmdk.markers, ...vmdk.entries]
  const bend = (fields: Field[]) => (file: Buffer) => {
    if (fields.length > 0) bendField(file, random.pick(fields), all, 'little', random)
    return file
  }
  const file = mutated(vmdk.file, random, [
    bend(vmdk.header),
    bend(vmdk.footer),
    bend(vmdk.markers),
    bend(vmdk.markers),
    bend(vmdk.entries),
    (file) => {
      const fields = [...vmdk.entries, ...vmdk.markers]
      if (fields.length === 0) return file
      const [one, other] = [random.pick(fields), random.pick(fields)]
      const value = readField(file, one, 'little')
      writeField(file, one, readField(file, other, 'little'), 'little')
      writeField(file, other, value, 'little')
      return file
    },
    (file) => file.subarray(0, random.below(file.length / SECTOR + 1) * SECTOR),
    (file) => damage(file, random),
  ])
  return { file, capacity: vmdk.capacity }
}
