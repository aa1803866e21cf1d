/** For tests: images whose partition table, or whose size, is refused before anything is published. */
import { crc32 } from 'node:zlib'
import type { BootAreasInput } from '../boot-areas.types.ts'
import type { GptHeader } from '../gpt.ts'
import { makeGpt, makeMbr, MiB, putPartitions, type TestGpt } from './make-image.ts'

export const change = (image: Buffer, edit: (image: Buffer) => void): Buffer => {
  edit(image)
  return image
}

/** A FAT boot sector whose boot code reaches into the partition table. */
export const fatFloppy = (): Buffer =>
  change(Buffer.alloc(2 * MiB), (image) => {
    image.set([0xeb, 0x3c, 0x90], 0)
    image.writeUInt16LE(512, 11)
    image.set([4, 1, 0, 2, 0, 2, 0, 0x10, 0xf8], 13)
    image.write('Non-system disk. Press any key to reboot when ready. Thank you!!', 446, 'latin1')
    image.set([0x55, 0xaa], 510)
  })

export const isoAt = (image: Buffer, offset: number, label: string): void => {
  image.write(`\u0001CD001\u0001`, offset + 32768, 'latin1')
  image.write(label.padEnd(32), offset + 32768 + 40, 'latin1')
}

export const bothHeaders = (changes: Partial<GptHeader>): TestGpt => ({ primary: changes, backup: changes })

const breakBoth = (offsetInHeader: number, value: number): Buffer =>
  change(makeGpt(), (image) => {
    image.writeUInt32LE(value, 512 + offsetInHeader)
    image.writeUInt32LE(value, image.length - 512 + offsetInHeader)
  })

/** Both headers with another revision and right CRCs. */
function withRevision(image: Buffer, revision: number): Buffer {
  for (const at of [512, image.length - 512]) {
    image.writeUInt32LE(revision, at + 8)
    image.writeUInt32LE(0, at + 16)
    image.writeUInt32LE(crc32(image.subarray(at, at + 92)), at + 16)
  }
  return image
}

/** Sectors of 512 bytes that the images of `makeGpt` have. */
const sectors = 4 * 2048

export type RefusedTable = [
  /** Class of hostile files, then what it is. */
  name: string,
  image: Buffer,
  code: 'GPT' | 'CFG' | 'DISK',
  cause: RegExp,
  changes?: Partial<BootAreasInput>,
]

export const refusedTables: readonly RefusedTable[] = [
  [
    'I7.87 a GPT with both header CRCs wrong',
    breakBoth(16, 1),
    'GPT',
    /primary GPT .*header CRC.*backup .*header CRC/,
  ],
  [
    'I7.87 a GPT with both array CRCs wrong',
    change(makeGpt(), (i) => {
      i[1024 + 700] = 1
      i[i.length - 1000] = 1
    }),
    'GPT',
    /array CRC.*array CRC/,
  ],
  [
    'I7.87 4294967295 entries',
    makeGpt(bothHeaders({ entryCount: 0xffff_ffff })),
    'GPT',
    /4294967295 entries/,
  ],
  ['I7.87 no entries', makeGpt(bothHeaders({ entryCount: 0 })), 'GPT', /array of 0 entries/],
  ['I7.87 an entry size of 0', makeGpt(bothHeaders({ entrySize: 0 })), 'GPT', /entries of 0 bytes/],
  [
    'I7.87 an entry size of 2^31',
    makeGpt(bothHeaders({ entrySize: 2 ** 31 })),
    'GPT',
    /array of 128 entries of 2147483648/,
  ],
  ['I7.87 an entry size of 129', makeGpt(bothHeaders({ entrySize: 129 })), 'GPT', /entries of 129 bytes/],
  ['I7.87 a header size of 0', breakBoth(12, 0), 'GPT', /own size as 0 bytes/],
  ['I7.87 a header size of 2^32-1', breakBoth(12, 0xffff_ffff), 'GPT', /own size as 4294967295 bytes/],
  ['I7.87 a header size of one more than a sector', breakBoth(12, 513), 'GPT', /own size as 513 bytes/],
  ['I7.87 an unknown revision', withRevision(makeGpt(), 0x0002_0000), 'GPT', /unknown revision 0x20000/],
  [
    'I7.88 a primary damaged without a backup',
    change(makeGpt(), (i) => {
      i[600] = 1
      i.fill(0, i.length - 512)
    }),
    'GPT',
    /no GPT signature/,
  ],
  [
    'I7.88 headers that name a wrong place for themselves',
    makeGpt(bothHeaders({ myLba: 7 })),
    'GPT',
    /no GPT signature|stands at/,
  ],
  ['I7.89 entries at LBA 0', makeGpt({ primary: { entriesLba: 0 } }), 'GPT', /entry array at LBA 0/],
  ['I7.89 entries at LBA 1', makeGpt({ primary: { entriesLba: 1 } }), 'GPT', /entry array at LBA 1/],
  [
    'I7.89 entries at LBA 2^60',
    makeGpt({ primary: { entriesLba: 2 ** 60 } }),
    'GPT',
    /LBA 1152921504606847000, outside the image/,
  ],
  [
    'I7.89 first usable after last usable',
    makeGpt(bothHeaders({ firstUsableLba: 5000, lastUsableLba: 4999 })),
    'GPT',
    /5000 to 4999/,
  ],
  [
    'I7.90 a partition past the disk',
    makeGpt({ partitions: [{ start: 2048, end: 2 ** 40 }] }),
    'GPT',
    /past the end of the disk/,
  ],
  [
    'I7.90 a partition past the image',
    makeGpt({ partitions: [{ start: 2048, end: sectors }], ...bothHeaders({ lastUsableLba: sectors }) }),
    'GPT',
    /past the end of the image/,
  ],
  [
    'I7.90 a reversed partition',
    makeGpt({ partitions: [{ start: 4096, end: 4094 }] }),
    'GPT',
    /ends before it begins/,
  ],
  [
    'I7.90 a partition outside the usable LBAs',
    makeGpt({ partitions: [{ start: 33, end: 4094 }] }),
    'GPT',
    /usable LBAs 34 to/,
  ],
  [
    'I7.90 a partition over the entry array',
    makeGpt({ partitions: [{ start: 2, end: 4094 }], ...bothHeaders({ firstUsableLba: 2 }) }),
    'GPT',
    /overlaps the GPT's entry array/,
  ],
  [
    'I7.90 overlapping partitions',
    makeGpt({
      partitions: [
        { start: 2048, end: 4096 },
        { start: 4096, end: 5000 },
      ],
    }),
    'GPT',
    /Partitions 1 and 2 of the image overlap/,
  ],
  ['I7.90 a table without a partition', makeGpt({ partitions: [] }), 'GPT', /lists no partition/],
  [
    'I7.91 a last partition over the backup area of a disk as large as the image',
    makeGpt({
      partitions: [{ start: 2048, end: sectors - 20 }],
      ...bothHeaders({ lastUsableLba: sectors - 2 }),
    }),
    'GPT',
    /backup GPT needs the disk from LBA 8159 on/,
    { diskSize: 4 * MiB },
  ],
  [
    'I7.97 a disk one sector smaller than the GPT needs',
    makeGpt({ partitions: [{ start: 2048, end: sectors - 34 }] }).subarray(0, (sectors - 33) * 512),
    'GPT',
    /backup GPT needs/,
    { diskSize: 4 * MiB - 512 },
  ],
  [
    'I7.93 a GPT for 4096 byte sectors on a disk of 512',
    makeGpt({ sectorSize: 4096 }),
    'GPT',
    /4096 byte sectors, but the disk has 512/,
  ],
  [
    'I7.93 a GPT for 512 byte sectors on a disk of 4096',
    makeGpt(),
    'GPT',
    /512 byte sectors, but the disk has 4096/,
    { sectorSize: 4096 },
  ],
  [
    'I7.94 a loop of logical partitions',
    change(makeMbr([[1, 0x05, 2048, 4096]]), (i) => {
      putPartitions(i, 2048, [
        [1, 0x83, 63, 100],
        [2, 0x05, 1000, 100],
      ])
      putPartitions(i, 3048, [
        [1, 0x83, 63, 100],
        [2, 0x05, 0, 100],
      ])
    }),
    'GPT',
    /loops at LBA 2048/,
  ],
  [
    'I7.94 logical partitions that leave the extended one',
    change(makeMbr([[1, 0x0f, 2048, 1000]]), (i) => {
      putPartitions(i, 2048, [[2, 0x05, 1000, 100]])
    }),
    'GPT',
    /leaves its extended partition/,
  ],
  [
    'I7.94 an MBR partition past the disk',
    makeMbr([[1, 0x83, 2048, 0xffff_ffff]]),
    'GPT',
    /Partition 1 of the image ends past the end of the disk/,
  ],
  [
    'I7.93 an MBR partition that fits in 512 byte sectors only',
    makeMbr([[1, 0x83, 2048, 4096]]),
    'GPT',
    /but not in 512 byte sectors/,
    { sectorSize: 4096 },
  ],
  [
    'I7.94 a fifth MBR partition for the config drive',
    makeMbr([
      [1, 0x83, 100, 100],
      [2, 0x83, 200, 100],
      [3, 0x83, 300, 100],
      [4, 0x83, 400, 100],
    ]),
    'CFG',
    /All four primary partitions/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.94 a config drive beyond 2 TiB of an MBR disk',
    makeMbr([[1, 0x83, 2048, 2048]]),
    'CFG',
    /MBR cannot address/,
    { configDriveBytes: MiB, diskSize: 3 * 2 ** 40 },
  ],
  [
    'I7.94 a config drive where an MBR partition ends',
    makeMbr([[1, 0x83, 2048, 6144]]),
    'CFG',
    /belongs to partition 1/,
    { configDriveBytes: MiB, diskSize: 4 * MiB },
  ],
  [
    'I7.94 a config drive with all 128 entries used',
    makeGpt({ partitions: Array.from({ length: 128 }, (_, i) => ({ start: 2048 + i, end: 2048 + i })) }),
    'CFG',
    /All 128 entries/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.94 a config drive with all 4 entries used',
    makeGpt({
      entryCount: 4,
      partitions: Array.from({ length: 4 }, (_, i) => ({ start: 2048 + i, end: 2048 + i })),
    }),
    'CFG',
    /All 4 entries/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.94 a config drive where a GPT partition ends',
    makeGpt({ partitions: [{ start: 2048, end: sectors - 34 }] }),
    'CFG',
    /belongs to partition 1/,
    { configDriveBytes: MiB, diskSize: 4 * MiB },
  ],
  ['I7.94 a config drive larger than the disk', makeGpt(), 'CFG', /no room/, { configDriveBytes: 64 * MiB }],
  [
    'I7.95 a config drive on an image without a table',
    Buffer.alloc(MiB),
    'CFG',
    /no partition table/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.95 a config drive on a FAT volume without a table',
    fatFloppy(),
    'CFG',
    /no partition table/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.98 two config drives in the image, by name',
    makeGpt({
      partitions: [
        { start: 2048, end: 2050, name: 'config-2' },
        { start: 2051, end: 2055, name: 'config-2' },
      ],
    }),
    'CFG',
    /2 config drives already \(partitions 1, 2\)/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.98 two config drives in the image, by name and label',
    change(
      makeGpt({
        partitions: [
          { start: 2048, end: 4095, name: 'config-2' },
          { start: 4096, end: 6000 },
        ],
      }),
      (i) => {
        isoAt(i, 2 * MiB, 'CONFIG-2')
      },
    ),
    'CFG',
    /2 config drives/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.98 a logical config drive',
    change(makeMbr([[1, 0x05, 2048, 4096]]), (i) => {
      putPartitions(i, 2048, [[1, 0x83, 63, 200]])
      isoAt(i, 2111 * 512, 'config-2')
    }),
    'CFG',
    /logical partition 5/,
    { configDriveBytes: MiB },
  ],
  [
    'I7.97 a raw image one byte larger than the disk',
    Buffer.alloc(2 * MiB + 1),
    'DISK',
    /2097153 bytes, the disk only 2097152/,
    { diskSize: 2 * MiB },
  ],
  [
    'I7.99 a disk smaller than its two boot areas',
    Buffer.alloc(512),
    'DISK',
    /less than its two boot areas/,
    { diskSize: 2 * MiB - 512 },
  ],
  [
    'I7.99 a disk of 33 sectors',
    Buffer.alloc(512),
    'DISK',
    /less than its two boot areas/,
    { diskSize: 33 * 512 },
  ],
  [
    'I7.99 a disk that does not end on a sector',
    Buffer.alloc(512),
    'DISK',
    /not whole sectors/,
    { diskSize: 4 * MiB + 1 },
  ],
]
