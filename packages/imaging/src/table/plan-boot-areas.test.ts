import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { ImagingError } from '../error.ts'
import type { BootAreas } from './boot-areas.types.ts'
import { decodeGptHeader, type GptHeader } from './gpt.ts'
import { decodeMbrEntries } from './mbr.ts'
import { planBootAreas } from './plan-boot-areas.ts'
import { inputFor, makeGpt, makeMbr, MiB, putPartitions } from './testing/make-image.ts'
import { bothHeaders, change, fatFloppy, isoAt, refusedTables } from './testing/refused-tables.ts'

suite('planBootAreas refuses', () => {
  for (const [name, image, code, cause, changes] of refusedTables) {
    test(`${name}: ${code}.`, async () => {
      await assert.rejects(planBootAreas(inputFor(image, changes)), (error) => {
        assert.ok(error instanceof ImagingError)
        assert.equal(error.code, code)
        assert.match(error.cause, cause)
        assert.match(error.remedy, /^[A-Z].*\.$/)
        return true
      })
    })
  }
})

function soundHeader(sector: Uint8Array, lba: number): GptHeader {
  const found = decodeGptHeader(sector, lba)
  assert.ok(!('fault' in found), JSON.stringify(found))
  return found
}

/** The headers on the disk that a plan makes. */
const headersOf = (
  plan: BootAreas,
  diskSize: number,
  sectorSize = 512,
): { primary: GptHeader; backup: GptHeader } => ({
  primary: soundHeader(plan.head.subarray(sectorSize, 2 * sectorSize), 1),
  backup: soundHeader(plan.tail.subarray(-sectorSize), diskSize / sectorSize - 1),
})

suite('planBootAreas repairs or keeps, and says so:', () => {
  const part = [
    { number: 1, offset: MiB, length: MiB, type: '0fc63daf-8483-4772-8e79-3d69d8477de4', name: '' },
  ]
  const rows: [name: string, image: Buffer, note: RegExp | null][] = [
    ['a sound GPT', makeGpt(), null],
    [
      'a primary with a wrong header CRC',
      change(makeGpt(), (i) => {
        i[512 + 16]! ^= 1
      }),
      /primary GPT .*wrong header CRC; it was repaired from the backup/,
    ],
    [
      'a primary with a wrong array CRC',
      change(makeGpt(), (i) => {
        i[1024 + 500] = 1
      }),
      /wrong entry array CRC; it was repaired/,
    ],
    [
      'a primary array of zeros',
      change(makeGpt(), (i) => {
        i.fill(0, 1024, 1024 + 16384)
      }),
      /repaired from the backup/,
    ],
    [
      'a primary of zeros',
      change(makeGpt(), (i) => {
        i.fill(0, 512, 1024 + 16384)
      }),
      /no GPT signature; it was repaired/,
    ],
    [
      'a primary and an MBR of zeros',
      change(makeGpt(), (i) => {
        i.fill(0, 0, 1024 + 16384)
      }),
      /repaired from the backup/,
    ],
    [
      'a primary with a wrong my_lba',
      withMyLba(makeGpt(), 2),
      /stands at LBA 2, but stands at 1; it was repaired/,
    ],
    [
      'a backup of zeros',
      change(makeGpt(), (i) => {
        i.fill(0, i.length - 512)
      }),
      /backup GPT of the image has no GPT signature; it was made anew/,
    ],
    [
      'a backup that was cut off',
      makeGpt().subarray(0, 3 * MiB),
      /backup GPT of the image lies outside the image; it was made anew/,
    ],
    [
      'a backup with a wrong CRC',
      change(makeGpt(), (i) => {
        i[i.length - 500]! ^= 1
      }),
      /backup GPT .*wrong header CRC/,
    ],
    ['an image that was grown behind its backup', Buffer.concat([makeGpt(), Buffer.alloc(MiB)]), null],
    [
      'no protective MBR',
      change(makeGpt(), (i) => {
        i.fill(0, 0, 512)
      }),
      /no protective MBR; one was written/,
    ],
    [
      'a protective MBR that is too small',
      change(makeGpt(), (i) => {
        i.writeUInt32LE(5, 446 + 12)
      }),
      /did not cover the image/,
    ],
    [
      'a protective MBR with a bad boot flag',
      change(makeGpt(), (i) => {
        i[446] = 0x17
      }),
      /boot flag 0x17; it was cleared/,
    ],
    [
      'a protective MBR that is active',
      change(makeGpt(), (i) => {
        i[446] = 0x80
      }),
      null,
    ],
    ['4 entries', makeGpt({ entryCount: 4 }), null],
    ['entries of 256 bytes', makeGpt({ entrySize: 256 }), null],
    ['a header of 512 bytes', makeGpt(bothHeaders({ headerSize: 512, extra: Buffer.alloc(420, 7) })), null],
  ]
  for (const [name, image, note] of rows) {
    test(`${name}.`, async () => {
      const input = inputFor(image, { diskSize: 20 * MiB + 512 })
      const plan = await planBootAreas(input)
      assert.deepEqual(plan.table, { kind: 'gpt', partitions: part })
      if (note) assert.match(plan.notes.join('\n'), note)
      else
        assert.deepEqual(
          plan.notes.filter((line) => !line.includes('protective MBR did not cover')),
          [],
        )
      const { primary, backup } = headersOf(plan, input.diskSize)
      const last = input.diskSize / 512 - 1
      assert.equal(primary.alternateLba, last)
      assert.equal(backup.alternateLba, 1)
      assert.equal(primary.lastUsableLba, backup.entriesLba - 1)
      const length = primary.entryCount * primary.entrySize
      assert.deepEqual(
        plan.tail.subarray(-512 - Math.ceil(length / 512) * 512).subarray(0, length),
        plan.head.subarray(1024, 1024 + length),
      )
      const [protective] = decodeMbrEntries(plan.head)
      assert.deepEqual(
        { ...protective, bootFlag: 0 },
        { number: 1, bootFlag: 0, type: 0xee, startLba: 1, sectors: last },
      )
      assert.equal(protective?.bootFlag, name.endsWith('active') ? 0x80 : 0)
    })
  }

  test('a hybrid MBR.', async () => {
    const image = makeGpt()
    putPartitions(image, 0, [[2, 0x83, 2048, 2048]])
    const plan = await planBootAreas(inputFor(image))
    assert.deepEqual(plan.head.subarray(0, 512), Uint8Array.from(image.subarray(0, 512)))
    assert.match(plan.notes.join(), /hybrid MBR; it was kept/)
  })
})

/** A primary header with a right CRC that names another place. */
function withMyLba(image: Buffer, lba: number): Buffer {
  image.writeBigUInt64LE(BigInt(lba), 512 + 24)
  image.writeUInt32LE(0, 512 + 16)
  image.writeUInt32LE(crc32(image.subarray(512, 512 + 92)), 512 + 16)
  return image
}

suite('planBootAreas takes for no partition table', () => {
  const rows: [name: string, image: Buffer][] = [
    ['zeros', Buffer.alloc(3 * MiB)],
    ['one sector', Buffer.alloc(512, 1)],
    ['a FAT volume with a boot signature', fatFloppy()],
    [
      'an NTFS volume',
      change(fatFloppy(), (i) => {
        i.write('NTFS    ', 3, 'latin1')
      }),
    ],
    [
      'LUKS',
      change(Buffer.alloc(MiB, 9), (i) => {
        i.write('LUKS\u00ba\u00be', 0, 'latin1')
      }),
    ],
    [
      'a boot signature alone',
      change(Buffer.alloc(MiB), (i) => {
        i.set([0x55, 0xaa], 510)
      }),
    ],
    [
      'a boot sector of code',
      change(Buffer.alloc(MiB, 0x91), (i) => {
        i.set([0x55, 0xaa], 510)
      }),
    ],
    ['an image that ends within a sector', Buffer.alloc(700, 3)],
  ]
  for (const [name, image] of rows) {
    test(`${name}: its bytes are kept and the disk's end is zero.`, async () => {
      const plan = await planBootAreas(inputFor(image, { diskSize: 12 * MiB }))
      assert.deepEqual(plan.table, { kind: 'none', partitions: [] })
      const expected = Buffer.alloc(MiB)
      image.copy(expected)
      assert.ok(expected.equals(plan.head))
      assert.ok(plan.tail.every((byte) => byte === 0))
      assert.match(plan.notes.at(-1) ?? '', /no partition table/)
      assert.equal(plan.notes.length, image.length % 512 === 0 ? 1 : 2)
    })
  }
})

suite('planBootAreas keeps an MBR', () => {
  test('byte for byte, with the image data that reaches into the last MiB.', async () => {
    const image = makeMbr([
      [1, 0x83, 2048, 4000],
      [2, 0x0f, 6144, 1000],
    ])
    putPartitions(image, 6144, [[1, 0x82, 63, 100]])
    image.fill(0xab, image.length - 700 * 1024)
    image[446] = 0x13
    const plan = await planBootAreas(inputFor(image, { diskSize: 4.5 * MiB }))
    assert.ok(image.subarray(0, MiB).equals(plan.head))
    assert.ok(image.subarray(3.5 * MiB).equals(plan.tail.subarray(0, MiB / 2)))
    assert.ok(plan.tail.subarray(MiB / 2).every((byte) => byte === 0))
    assert.deepEqual(
      plan.table.partitions.map(({ number, type, offset, length }) => [
        number,
        type,
        offset / 512,
        length / 512,
      ]),
      [
        [1, '83', 2048, 4000],
        [2, '0f', 6144, 1000],
        [5, '82', 6207, 100],
      ],
    )
    assert.match(plan.notes.join(), /boot flag 0x13; it was kept/)
  })

  test('of an image that is also ISO 9660, whose entries overlap and begin at 0.', async () => {
    const image = makeMbr([
      [1, 0x00, 0, 8192],
      [2, 0xef, 2048, 1000],
      [3, 0x17, 0, 8192],
    ])
    const plan = await planBootAreas(inputFor(image))
    assert.deepEqual(
      plan.table.partitions.map(({ number, type }) => [number, type]),
      [
        [2, 'ef'],
        [3, '17'],
      ],
    )
    assert.ok(image.subarray(0, MiB).equals(plan.head))
    const withDrive = await planBootAreas(inputFor(image, { configDriveBytes: MiB }))
    assert.equal(withDrive.table.partitions.find(({ type }) => type === '83')?.number, 4)
  })

  test('whose boot code begins as a FAT boot sector does.', async () => {
    const image = makeMbr([[1, 0x83, 2048, 4096]])
    fatFloppy().copy(image, 0, 0, 446)
    assert.equal((await planBootAreas(inputFor(image))).table.kind, 'mbr')
  })

  test('and adds the config drive to the first free slot.', async () => {
    const image = makeMbr([
      [1, 0x83, 2048, 2048],
      [3, 0xef, 4096, 2048],
    ])
    const plan = await planBootAreas(inputFor(image, { configDriveBytes: 2 * MiB }))
    assert.deepEqual(plan.configDrive, { offset: 9 * MiB, length: 2 * MiB })
    const changed = Buffer.from(plan.head.subarray(0, 512))
    assert.deepEqual(decodeMbrEntries(changed)[1], {
      number: 2,
      bootFlag: 0,
      type: 0x83,
      startLba: 9 * 2048,
      sectors: 4096,
    })
    changed.fill(0, 446 + 16, 446 + 32)
    assert.ok(changed.equals(image.subarray(0, 512)))
  })

  test('and gives the slot of its config drive to the new one.', async () => {
    const image = makeMbr([
      [1, 0x83, 2048, 2048],
      [2, 0x83, 4096, 2048],
    ])
    isoAt(image, 2 * MiB, 'config-2')
    const plan = await planBootAreas(inputFor(image, { configDriveBytes: MiB }))
    assert.deepEqual(
      plan.table.partitions.map(({ number, offset }) => [number, offset]),
      [
        [1, MiB],
        [2, 10 * MiB],
      ],
    )
    assert.match(plan.notes.join(), /Partition 2 of the image was a config drive; it was replaced/)
  })

  test('and takes it before a GPT that it does not name.', async () => {
    const image = makeGpt()
    image.fill(0, 446, 510)
    putPartitions(image, 0, [[1, 0x83, 2048, 2048]])
    const plan = await planBootAreas(inputFor(image))
    assert.equal(plan.table.kind, 'mbr')
    assert.match(plan.notes.join(), /GPT beside an MBR that does not name it/)
    assert.ok(plan.tail.every((byte) => byte === 0))
  })
})

suite('planBootAreas places the config drive', () => {
  const rows: [diskSize: number, bytes: number, offset: number][] = [
    [12 * MiB, MiB, 10 * MiB],
    [12 * MiB + 512, MiB, 10 * MiB],
    [12 * MiB - 512, MiB, 9 * MiB],
    [12 * MiB, 1, 10 * MiB],
    [100 * MiB, 64 * MiB, 35 * MiB],
    [8 * 2 ** 40, MiB, 8 * 2 ** 40 - 2 * MiB],
  ]
  for (const [diskSize, configDriveBytes, offset] of rows) {
    test(`of ${configDriveBytes} bytes on a disk of ${diskSize} at ${offset}.`, async () => {
      const plan = await planBootAreas(inputFor(makeGpt(), { diskSize, configDriveBytes }))
      const length = Math.ceil(configDriveBytes / 512) * 512
      assert.deepEqual(plan.configDrive, { offset, length })
      assert.ok(offset + length <= diskSize - MiB)
      assert.deepEqual(plan.table.partitions[1], {
        number: 2,
        offset,
        length,
        type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
        name: 'config-2',
      })
    })
  }

  test('in the slot of the one that the image brings, named or labelled.', async () => {
    for (const name of ['config-2', 'seed']) {
      const image = makeGpt({
        partitions: [
          { start: 4096, end: 5000, slot: 7, name },
          { start: 2048, end: 2100, slot: 9 },
        ],
      })
      if (name === 'seed') isoAt(image, 2 * MiB, 'config-2')
      const plan = await planBootAreas(inputFor(image, { configDriveBytes: MiB }))
      assert.deepEqual(
        plan.table.partitions.map((entry) => [entry.number, entry.name]),
        [
          [7, 'config-2'],
          [9, ''],
        ],
      )
      assert.match(plan.notes.join(), /Partition 7 of the image was a config drive; it was replaced/)
    }
  })

  test('as a Windows volume on 4096 byte sectors, where it is FAT.', async () => {
    const plan = await planBootAreas(
      inputFor(makeGpt({ sectorSize: 4096 }), { sectorSize: 4096, configDriveBytes: MiB }),
    )
    assert.deepEqual(plan.configDrive, { offset: 10 * MiB, length: MiB })
    assert.equal(plan.table.partitions[1]?.type, 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7')
    assert.equal(headersOf(plan, 12 * MiB, 4096).backup.myLba, 12 * 256 - 1)
  })

  test('with a fresh unique GUID each time.', async () => {
    const guids = new Set<string>()
    for (let round = 0; round < 2; round++) {
      const plan = await planBootAreas(inputFor(makeGpt(), { configDriveBytes: MiB }))
      guids.add(Buffer.from(plan.head.subarray(1024 + 128 + 16, 1024 + 128 + 32)).toString('hex'))
    }
    assert.equal(guids.size, 2)
  })
})
