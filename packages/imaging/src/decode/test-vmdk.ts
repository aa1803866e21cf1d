/** For the tests of this folder: streamOptimized VMDKs and OVAs made by hand, so that every field can be wrong. */
import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'

export const GRAIN = 65_536
const SECTOR = 512
const TABLE_SPAN = 512

export interface VmdkParts {
  /** Grain number to content. */
  grains: Map<number, Buffer>
  /** Bytes. */
  capacity: number
  descriptor: (text: string) => string
  header: (header: Buffer) => void
  footer: (footer: Buffer) => void
  /** Changes what a marker of a grain says. */
  marker: (marker: Buffer, grain: number) => void
  table: (entries: Buffer, table: number) => void
  directory: (entries: Buffer) => void
  /** Order in which grains stand in the file. */
  order: (grains: number[]) => number[]
  tail: Buffer
}

export const grainOf = (text: string): Buffer => Buffer.alloc(GRAIN, `${text} `)

const defaults = (): VmdkParts => ({
  grains: new Map([
    [0, grainOf('first')],
    [3, grainOf('fourth')],
    [TABLE_SPAN + 1, grainOf('second table')],
  ]),
  capacity: 64 * 1024 * 1024 + 5 * GRAIN,
  descriptor: (text) => text,
  header: () => {},
  footer: () => {},
  marker: () => {},
  table: () => {},
  directory: () => {},
  order: (grains) => grains,
  tail: Buffer.alloc(0),
})

/** A VMDK as VMware's exporters write it: tables behind their grains, the place of the directory in a footer. */
export function makeVmdk(changes: Partial<VmdkParts> = {}): Buffer {
  const parts = { ...defaults(), ...changes }
  const sectors = parts.capacity / SECTOR
  const text = parts.descriptor(
    `# Disk DescriptorFile\nversion=1\nCID=278f54ff\nparentCID=ffffffff\ncreateType="streamOptimized"\n\n` +
      `# Extent description\nRDONLY ${sectors} SPARSE "disk.vmdk"\n\n#DDB\nddb.adapterType = "lsilogic"\n`,
  )
  const pieces: Buffer[] = []
  let at = 0 // sectors
  const add = (bytes: Buffer): number => {
    const start = at
    const padded = Buffer.concat([bytes], Math.ceil(bytes.length / SECTOR) * SECTOR)
    pieces.push(padded)
    at += padded.length / SECTOR
    return start
  }
  const header = headerOf(parts.capacity, 0xffff_ffff_ffff_ffffn)
  parts.header(header)
  add(header)
  add(Buffer.concat([Buffer.from(text)], SECTOR))
  at = 128
  pieces.push(Buffer.alloc(126 * SECTOR))
  const tables = Math.ceil(parts.capacity / (GRAIN * TABLE_SPAN))
  const directory = Buffer.alloc(tables * 4)
  for (let table = 0; table < tables; table++) {
    const entries = Buffer.alloc(TABLE_SPAN * 4)
    const inside = [...parts.grains.keys()].filter((grain) => Math.floor(grain / TABLE_SPAN) === table)
    for (const grain of parts.order(inside)) {
      const stream = deflateSync(parts.grains.get(grain) ?? Buffer.alloc(0))
      const marker = Buffer.alloc(12)
      marker.writeBigUInt64LE(BigInt((grain * GRAIN) / SECTOR), 0)
      marker.writeUInt32LE(stream.length, 8)
      parts.marker(marker, grain)
      entries.writeUInt32LE(add(Buffer.concat([marker, stream])), (grain % TABLE_SPAN) * 4)
    }
    if (inside.length === 0) continue
    parts.table(entries, table)
    add(metadata(4, 1))
    directory.writeUInt32LE(add(entries), table * 4)
  }
  parts.directory(directory)
  add(metadata(Math.ceil(directory.length / SECTOR), 2))
  const footer = headerOf(parts.capacity, BigInt(add(directory)))
  parts.footer(footer)
  add(metadata(1, 3))
  add(footer)
  add(Buffer.alloc(SECTOR))
  return Buffer.concat([...pieces, parts.tail])
}

/** The disk that `makeVmdk` describes. */
export function contentOf(changes: Partial<VmdkParts> = {}): Buffer {
  const { grains, capacity } = { ...defaults(), ...changes }
  const disk = Buffer.alloc(capacity)
  for (const [grain, bytes] of grains) bytes.copy(disk, grain * GRAIN)
  return disk
}

function headerOf(capacity: number, directory: bigint): Buffer {
  const header = Buffer.alloc(SECTOR)
  header.write('KDMV', 0, 'latin1')
  header.writeUInt32LE(3, 4)
  header.writeUInt32LE(0x30001, 8)
  header.writeBigUInt64LE(BigInt(capacity / SECTOR), 12)
  header.writeBigUInt64LE(BigInt(GRAIN / SECTOR), 20)
  header.writeBigUInt64LE(1n, 28)
  header.writeBigUInt64LE(1n, 36)
  header.writeUInt32LE(512, 44)
  header.writeBigUInt64LE(directory, 56)
  header.writeBigUInt64LE(128n, 64)
  header.write('\n \r\n', 73, 'latin1')
  header.writeUInt16LE(1, 77)
  return header
}

function metadata(sectors: number, type: number): Buffer {
  const marker = Buffer.alloc(SECTOR)
  marker.writeBigUInt64LE(BigInt(sectors), 0)
  marker.writeUInt32LE(type, 12)
  return marker
}

export interface TarEntry {
  name: string
  content: Buffer
  /** Changes the header before its checksum is made. */
  change?: (header: Buffer) => void
  /** Changes it after that. */
  spoil?: (header: Buffer) => void
}

export function makeTar(entries: TarEntry[], end = Buffer.alloc(1024)): Buffer {
  const blocks = entries.flatMap(({ name, content, change, spoil }) => {
    const header = Buffer.alloc(512)
    header.write(name, 0, 100, 'utf8')
    header.write('0000644\0', 100, 'latin1')
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
    header.write('00000000000\0', 136, 'latin1')
    header.write('0', 156, 'latin1')
    header.write('ustar\x0000', 257, 'latin1')
    change?.(header)
    header.fill(0x20, 148, 156)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    spoil?.(header)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, end])
}

export const ovfOf = (capacity: number, href = 'disk.vmdk', size = ''): string =>
  `<?xml version="1.0" encoding="UTF-8"?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <ovf:References><ovf:File ovf:id="file1" ovf:href="${href}"${size}/></ovf:References>
  <ovf:DiskSection><ovf:Info>one &amp; only</ovf:Info>
    <ovf:Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="${capacity}"/>
  </ovf:DiskSection>
</ovf:Envelope>
`

export const digestLine = (word: string, name: string, content: Buffer): string =>
  `${word}(${name})= ${createHash(word.toLowerCase()).update(content).digest('hex')}\n`
