import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { ImagingError } from '../error.ts'
import { Random } from '../fuzz/random.ts'
import { planBootAreas } from './plan-boot-areas.ts'
import { inputFor, makeGpt, makeMbr, MiB, putPartitions } from './testing/make-image.ts'

const gpt = (): Buffer =>
  makeGpt({
    size: 3 * MiB,
    entryCount: 4,
    partitions: [
      { start: 40, end: 2000 },
      { start: 2048, end: 5000 },
    ],
  })

const mbr = (): Buffer => {
  const image = makeMbr(
    [
      [1, 0x83, 1, 99],
      [2, 0x05, 100, 3000],
    ],
    3 * MiB,
  )
  putPartitions(image, 100, [
    [1, 0x83, 1, 50],
    [2, 0x05, 200, 100],
  ])
  putPartitions(image, 300, [
    [1, 0x83, 1, 50],
    [2, 0x05, 400, 100],
  ])
  return image
}

function fixCrcs(image: Buffer): void {
  for (const [at, array] of [
    [512, 1024],
    [image.length - 512, image.length - 1024],
  ] as const) {
    image.writeUInt32LE(crc32(image.subarray(array, array + 512)), at + 88)
    image.writeUInt32LE(0, at + 16)
    image.writeUInt32LE(crc32(image.subarray(at, at + 92)), at + 16)
  }
}

const rows: [name: string, make: () => Buffer, places: [from: number, length: number][], fix: boolean][] = [
  [
    'GPT',
    gpt,
    [
      [446, 66],
      [512, 92],
      [1024, 512],
    ],
    false,
  ],
  [
    'GPT with right CRCs',
    gpt,
    [
      [512 + 24, 64],
      [1024, 256],
    ],
    true,
  ],
  [
    'MBR',
    mbr,
    [
      [446, 66],
      [100 * 512 + 446, 66],
      [300 * 512 + 446, 66],
    ],
    false,
  ],
]

for (const [name, make, places, fix] of rows) {
  test(`A mangled ${name} ends in a plan within the disk or in an error of the catalogue.`, async () => {
    const random = new Random(1)
    const sound = make()
    let plans = 0
    for (let round = 0; round < 400; round++) {
      const image = Buffer.from(sound)
      for (let edits = random.between(1, 4); edits > 0; edits--) {
        const [from, length] = random.pick(places)
        image[from + random.below(length)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
      }
      if (fix) fixCrcs(image)
      const diskSize = 6 * MiB
      try {
        const growLastPartition = round % 2 === 1
        const plan = await planBootAreas(
          inputFor(image, { diskSize, configDriveBytes: MiB, growLastPartition }),
        )
        plans++
        assert.deepEqual([plan.head.length, plan.tail.length], [MiB, MiB])
        assert.equal(
          plan.table.partitions.some(({ offset }) => offset === plan.configDrive?.offset),
          true,
        )
        for (const { offset, length } of plan.table.partitions)
          assert.ok(offset + length <= diskSize, `round ${round}`)
        const { offset, length } = plan.wipe ?? { offset: MiB, length: 0 }
        assert.ok(offset >= MiB && offset + length <= (plan.configDrive?.offset ?? 0), `round ${round}`)
      } catch (error) {
        assert.ok(error instanceof ImagingError, `round ${round}: ${String(error)}`)
      }
    }
    assert.ok(plans > 0)
  })
}
