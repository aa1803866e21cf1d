import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { plainImage } from '../decode/test-images.ts'
import { configDrive, MiB, readAt } from '../deploy-image.fixture.ts'
import type { ImageType } from '../deploy-image.types.ts'
import { makeGpt, makeMbr } from '../table/testing/make-image.ts'
import { refusedTables } from '../table/testing/refused-tables.ts'
import { assertRefused, DISK, type Refusal, testRefusals, useBench, WAYS } from './judge.ts'

const bench = useBench()

describe('a raw image whose partition table or size will not do', () => {
  // What only the planner can be asked for: a config drive of 64 MiB, and images that a disk of 2 MiB takes.
  const deployable = refusedTables.filter(
    ([name]) => !/larger than the disk$|does not end on a sector/.test(name),
  )
  testRefusals(
    bench,
    'raw',
    deployable.map(([name, image, code, says, changes = {}]): Refusal => {
      const { diskSize = image.length + 8 * MiB, sectorSize = 512, configDriveBytes = 0 } = changes
      const disk = { path: '', sectorSize }
      return {
        row: name.slice(0, name.indexOf(' ')),
        what: name.slice(name.indexOf(' ') + 1),
        image: () => image,
        code,
        says: code === 'DISK' ? /disk/i : says,
        streamed: code === 'DISK' ? 'untouched' : 'unbootable',
        diskSize,
        more: { disk, ...(configDriveBytes > 0 ? { configDrive } : {}) },
      }
    }),
  )
})

const at = (offset: number, bytes: string, length = 64 * 1024): Buffer => {
  const file = Buffer.alloc(length)
  file.write(bytes, offset, 'latin1')
  return file
}
const signed = (file: Buffer): Buffer => {
  file.writeUInt16BE(0x55aa, 510)
  return file
}

describe('I7.96 a file that is not what it was declared as', () => {
  const qcow2InIso = at(0x8001, 'CD001')
  plainImage().copy(qcow2InIso, 0, 0, 32_768)
  const files: [what: string, image: Buffer][] = [
    ['qcow2', plainImage()],
    ['ISO with qcow2 in its system area', qcow2InIso],
    ['ISO that no firmware boots from a disk', signed(at(0x8001, 'CD001'))],
    ['VMDK', at(0, 'KDMV')],
    ['VMDK descriptor', at(0, '# Disk DescriptorFile\n')],
    ['VHD', at(0, 'conectix')],
    ['VHDX', at(0, 'vhdxfile')],
    ['VDI', signed(at(0x40, '\x7f\x10\xda\xbe'))],
    ['QED', at(0, 'QED\0')],
    ['Parallels', at(0, 'WithoutFreeSpace')],
    ['Bochs', at(0, 'Bochs Virtual HD Image')],
    ['cloop', at(0, '#!/bin/sh\n#V2.0 Format\n')],
    ['LUKS', at(0, 'LUKS\xba\xbe')],
    ['tar', at(257, 'ustar')],
    ['zip', at(0, 'PK\x03\x04')],
    ['7z', at(0, '7z\xbc\xaf\x27\x1c')],
    ['web page', Buffer.from('<!DOCTYPE html><html><body>Please log in</body></html>')],
  ]
  testRefusals(
    bench,
    'raw',
    files.flatMap(([what, image]): Refusal[] => [
      {
        row: 'I7.96',
        what: `${what} declared raw`,
        image: () => image,
        code: 'FORMAT',
        says: /declared as raw but/,
      },
      {
        row: 'I7.96',
        what: `${what} in gzip declared raw`,
        image: () => gzipSync(image),
        code: 'FORMAT',
        says: /declared as raw but/,
      },
    ]),
  )

  for (const type of ['qcow2', 'vmdk', 'ova'] satisfies ImageType[]) {
    const others: [what: string, image: Buffer][] = [
      ['raw', makeGpt()],
      ['raw in zstd', zstdCompressSync(makeGpt())],
      ['VHD', at(0, 'conectix')],
      ['ISO', at(0x8001, 'CD001')],
    ]
    testRefusals(
      bench,
      type,
      others.map(([what, image]) => ({
        row: 'I7.96',
        what: `${what} declared ${type}`,
        image: () => image,
        code: 'FORMAT',
        says: new RegExp(`declared as ${type} but`),
      })),
    )
  }

  const vhd = Buffer.concat([makeGpt({ size: 3 * MiB }), at(0, 'conectix\0\0\0\x02\0\x01\0\0', 512)])
  const dmg = Buffer.concat([randomBytes(70_001), at(0, 'koly\0\0\0\x04\0\0\x02\0', 512)])
  testRefusals(
    bench,
    'raw',
    [
      { what: 'a fixed VHD, marked at its end', image: vhd },
      { what: 'a DMG, marked at its end', image: dmg },
    ].map(({ what, image }) => ({
      row: 'I7.96',
      what,
      image: () => image,
      code: 'FORMAT',
      says: /declared as raw but is a file in the format (vhd|dmg)/,
      streamed: 'unbootable',
    })),
  )
})

describe('I7.95 a raw image without a table', () => {
  test('of no bytes is refused with the disk untouched', async () => {
    for (const way of [...WAYS, 'in chunks'] as const) {
      const row = {
        row: '',
        what: '',
        image: () => Buffer.alloc(0),
        code: ['DOWNLOAD', 'FORMAT'],
        says: /empty/,
      } as const
      await assertRefused(bench, 'raw', row, way)
    }
  })

  for (const [what, image] of [
    ['one sector', Buffer.alloc(512, 1)],
    ['not a multiple of 512', Buffer.alloc(100_001, 2)],
    ['as large as the disk (I7.97)', Buffer.alloc(DISK, 3)],
  ] as const) {
    for (const way of WAYS) {
      test(`${what} arrives ${way}, and nothing of the old system shows behind it`, async () => {
        await bench.renew(DISK)
        const result = await bench.deploy(image, 'raw', way)
        const expected = Buffer.concat([image], DISK)
        assert.ok((await readAt(bench.disk, 0, DISK)).equals(expected))
        assert.match(result.notes.join(), /no partition table/)
        assert.equal(/rest of the sector is zero/.test(result.notes.join()), image.length % 512 !== 0)
      })
    }
  }
})

describe('I7.100 the GPT that the old system left at the end of the disk is gone', () => {
  const old = makeGpt({ size: DISK, partitions: [{ start: 2048, end: 4095, name: 'old system' }] })
  for (const [what, image] of [
    ['without a table', Buffer.alloc(MiB, 5)],
    ['with an MBR', makeMbr([[1, 0x83, 512, 1024]], MiB)],
    ['with a GPT', makeGpt({ size: 3 * MiB, partitions: [{ start: 2048, end: 4095, name: 'new system' }] })],
  ] as const) {
    for (const way of WAYS) {
      test(`after an image ${what}, ${way}`, async () => {
        await bench.renew(DISK)
        const file = await open(bench.disk, 'r+')
        await file.write(old, 0, old.length, 0)
        await file.close()
        assert.equal((await bench.deploy(image, 'raw', way)).disk, 'complete')
        const disk = await readAt(bench.disk, 0, DISK)
        assert.equal(disk.indexOf(Buffer.from('old system', 'utf16le')), -1)
        const isGpt = what === 'with a GPT'
        assert.equal(disk.includes('EFI PART'), isGpt)
        assert.equal(disk.subarray(-512).includes('EFI PART'), isGpt)
      })
    }
  }
})
