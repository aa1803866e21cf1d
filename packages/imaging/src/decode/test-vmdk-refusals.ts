/** For tests: VMDKs that are refused as FORMAT, each with the class of hostile files that it is one spelling of. */
import { makeVmdk, type VmdkParts } from './test-vmdk.ts'

export interface VmdkRefusal {
  row: string
  what: string
  change: Partial<VmdkParts>
  says: RegExp
  /** Its first sector shows it, so that the disk stays untouched in any case. */
  inHeader?: boolean
}

type Row = [what: string, change: Partial<VmdkParts>, says: RegExp]

const u32 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32LE(value, at)
const u64 = (at: number, value: bigint) => (bytes: Buffer) => void bytes.writeBigUInt64LE(value, at)
const u16 = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt16LE(value, at)
const marker =
  (change: (bytes: Buffer) => void) =>
  (bytes: Buffer, grain: number): void => {
    if (grain === 3) change(bytes)
  }
const descriptor = (change: (text: string) => string): Partial<VmdkParts> => ({ descriptor: change })
const extent = (line: string) => descriptor((text) => text.replace(/^RDONLY.*$/m, line))
/** 8 TiB in grains of 4 KiB. */
const manyTables = (bytes: Buffer): void => {
  bytes.writeBigUInt64LE(2n ** 34n, 12)
  bytes.writeBigUInt64LE(8n, 20)
}
const SECTORS = 131_712 // of the disk that `makeVmdk` describes
const DIFFER = /different images/

const HEADER: Record<string, Row[]> = {
  'I6.72': [
    ...[0, 4, 2 ** 32 - 1].map(
      (v): Row => [`version ${v}`, { header: u32(4, v) }, new RegExp(`version ${v}`)],
    ),
    ['no compression', { header: u32(8, 3) }, /not streamOptimized/],
    ['compression without markers', { header: u32(8, 0x10001) }, /not streamOptimized/],
    ['markers without compression', { header: u32(8, 0x20001) }, /not streamOptimized/],
    ['an unknown flag', { header: u32(8, 0x130001) }, /flags 0x100000/],
    ['no descriptor', { header: u64(28, 0n) }, /no embedded descriptor/],
    ['a descriptor of no sector', { header: u64(36, 0n) }, /no embedded descriptor/],
    ['a descriptor of a GiB', { header: u64(36, 2n ** 21n) }, /impossible size/],
    ['a descriptor that begins at 2^64 - 1', { header: u64(28, 2n ** 64n - 1n) }, /reaches into its grains/],
    ...[0, 2, 65535].map(
      (v): Row => [`compression method ${v}`, { header: u16(77, v) }, new RegExp(`method ${v}`)],
    ),
    ['line ends changed by a text transfer', { header: (it) => void it.write('\n \n\n', 73) }, /text/],
  ],
  'I6.73': [
    ...[0n, 2n ** 37n + 1n, 2n ** 55n, 2n ** 63n, 2n ** 64n - 1n].map(
      (v): Row => [`a capacity of ${v}`, { header: u64(12, v) }, /capacity of/],
    ),
    ...[0n, 1n, 4n, 100n, 127n, 8192n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n].map(
      (v): Row => [`grains of ${v} sectors`, { header: u64(20, v) }, /power of two/],
    ),
    ...[0, 1, 511, 513, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`tables of ${v} entries`, { header: u32(44, v) }, new RegExp(`have ${v} entries`)],
    ),
    ['more tables than any disk needs', { header: manyTables }, /grain tables, more than/],
  ],
  'I6.75': [0n, 1n].map(
    (v): Row => [
      `a directory at sector ${v}, in the header or the descriptor`,
      { header: u64(56, v) },
      /directory stands at sector/,
    ],
  ),
}

const BEHIND: Record<string, Row[]> = {
  'I6.71': [
    ...[
      `RW ${SECTORS} FLAT "disk-flat.vmdk" 0`,
      `RW ${SECTORS} FLAT "/etc/passwd" 0`,
      `RW ${SECTORS} FLAT "../../etc/shadow" 0`,
      `RW ${SECTORS} FLAT "/dev/sda" 0`,
      `RW ${SECTORS} VMFS "disk-flat.vmdk"`,
      `RW ${SECTORS} VMFSRDM "disk-rdm.vmdk"`,
      `RW ${SECTORS} VMFSRAW "/vmfs/devices/disks/x"`,
      `RW ${SECTORS} ZERO`,
      `RW ${SECTORS} SESPARSE "disk.vmdk"`,
      `RW ${SECTORS} SPARSE "/etc/passwd"`,
      `RW ${SECTORS} SPARSE "..\\\\x"`,
      `NOACCESS ${SECTORS} VMFSSPARSE "disk.vmdk"`,
    ].map((line): Row => [`the extent ${line}`, extent(line), /does not know|not SPARSE/]),
    ...[
      'monolithicFlat',
      'twoGbMaxExtentFlat',
      'twoGbMaxExtentSparse',
      'vmfs',
      'fullDevice',
      'custom',
      '',
    ].map(
      (type): Row => [
        `the type ${type}`,
        descriptor((text) => text.replace('streamOptimized', type)),
        /not streamOptimized/,
      ],
    ),
  ],
  'I6.72': [
    ['a second extent', descriptor((text) => `${text}RW 5 SPARSE "b.vmdk"\n`), /another size|2 extents/],
    ['an extent twice', descriptor((text) => text.replace(/^(RDONLY.*\n)/m, '$1$1')), /2 extents/],
    ['no extent', descriptor((text) => text.replace(/RDONLY.*\n/, '')), /0 extents/],
    ['an extent of another size', extent(`RW ${SECTORS + 1} SPARSE "disk.vmdk"`), /another size/],
    ['an extent of 10^30 sectors', extent(`RW 1${'0'.repeat(30)} SPARSE "disk.vmdk"`), /another size/],
    ['no type', descriptor((text) => text.replace(/createType.*\n/, '')), /not streamOptimized/],
    ['a parent', descriptor((text) => text.replace('parentCID=ffffffff', 'parentCID=12345678')), /parent/],
    ['a parent hint', descriptor((text) => `${text}parentFileNameHint="/x"\n`), /parent/],
    ['a parent hint in capitals', descriptor((text) => `${text}PARENTFILENAMEHINT = "/x"\n`), /parent/],
    ...['junk junk', '<x>', '"a"="b"', 'include /etc/passwd', '\u0001'].map(
      (line): Row => [
        `the line ${JSON.stringify(line)}`,
        descriptor((text) => `${text}${line}\n`),
        /does not know/,
      ],
    ),
    ['an empty descriptor', descriptor(() => ''), /descriptor is empty/],
  ],
  'I6.74': [
    ['no footer', { footer: (it) => void it.fill(0) }, /no sparse extent/],
    ['another magic in the footer', { footer: u32(0, 0x564d444c) }, /no sparse extent/],
    ['another version in the footer', { footer: u32(4, 9) }, /version 9/],
    ['another descriptor in the footer', { footer: u64(28, 2n) }, /not that of its header|reaches into/],
    ['a footer that sends to a footer', { footer: u64(56, 2n ** 64n - 1n) }, /another grain directory/],
    ['a footer with another directory', { footer: u64(56, 5n) }, /another grain directory/],
    ['a footer of another capacity', { footer: u64(12, 128n) }, /not that of its header/],
    ['a footer of other grains', { footer: u64(20, 64n) }, /not that of its header/],
    ['bytes after its end', { tail: Buffer.from('more') }, /goes on after its end/],
  ],
  'I6.75': [
    ...[2n, 64n, 127n].map(
      (v): Row => [
        `a directory of zeros at sector ${v}, before the grains`,
        { header: u64(56, v) },
        /tables before its grains and among them/,
      ],
    ),
    ...[128n, 10n ** 6n, 2n ** 63n].map(
      (v): Row => [
        `a directory at sector ${v}, where there is none`,
        { header: u64(56, v) },
        /ends without the grain directory/,
      ],
    ),
    ['a directory that leaves a table out', { directory: u32(0, 0) }, DIFFER],
    ...[0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`a directory that names sector ${v} for a table`, { directory: u32(4, v) }, DIFFER],
    ),
    ...[1, 2, 127, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`a table that names sector ${v} for a grain`, { table: u32(12, v) }, DIFFER],
    ),
  ],
  'I6.76': [
    ['a marker for another slot', { marker: marker(u64(0, 4n * 128n)) }, DIFFER],
    ['a marker for a slot of the other table', { marker: marker(u64(0, 514n * 128n)) }, DIFFER],
    ...[BigInt(SECTORS), 2n ** 40n, 2n ** 55n, 2n ** 63n, 2n ** 64n - 1n].map(
      (v): Row => [
        `a grain for sector ${v}, beyond the capacity`,
        { marker: marker(u64(0, v)) },
        /where none can be/,
      ],
    ),
    ['a grain between two', { marker: marker(u64(0, 385n)) }, /where none can be/],
    ['one grain twice', { marker: marker(u64(0, 0n)) }, /twice/],
    ['a table that names a grain more', { table: u32(40, 128) }, DIFFER],
    ['a table that leaves a grain out', { table: u32(12, 0) }, /different images|no table names/],
  ],
  'I6.77': [
    ...[65_536 + 200, 2 ** 31, 2 ** 32 - 1].map(
      (v): Row => [`a grain of ${v} compressed bytes`, { marker: marker(u32(8, v)) }, /more than a grain/],
    ),
    ['a grain of no bytes', { marker: marker(u32(8, 0)) }, /marker of type|different images|damaged/],
  ],
}

const listed = (rows: Record<string, Row[]>, inHeader: boolean): VmdkRefusal[] =>
  Object.entries(rows).flatMap(([row, of]) =>
    of.map(([what, change, says]) => ({ row, what, change, says, inHeader })),
  )

export const vmdkRefusals: readonly VmdkRefusal[] = [...listed(HEADER, true), ...listed(BEHIND, false)]

export const hostileVmdk = ({ change }: VmdkRefusal): Buffer => makeVmdk(change)
