import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ImagingError } from '../error.ts'
import type { BootAreasInput } from './boot-areas.types.ts'
import { planBootAreas } from './plan-boot-areas.ts'
import { inputFor, makeGpt, makeMbr, MiB, putPartitions } from './testing/make-image.ts'

const TiB = 2 ** 40

const grown = (image: Buffer, changes: Partial<BootAreasInput> = {}) =>
  planBootAreas(inputFor(image, { growLastPartition: true, diskSize: 12 * MiB, ...changes }))

/** In MiB: partition 1 at 1, partition 2 at 3 (it ends last), partition 3 at 2. */
const gpt = (sectorSize: 512 | 4096 = 512): Buffer => {
  const [unit, size] = [MiB / sectorSize, 5 * MiB]
  const partitions = [
    { start: unit, end: 2 * unit - 1 },
    { start: 3 * unit, end: 4 * unit - 1 },
    { start: 2 * unit, end: 3 * unit - 1 },
  ]
  return makeGpt({ sectorSize, size, partitions })
}

/** Primary partitions at 1 MiB and at 2 MiB, of 1 MiB each. */
const mbr = (): Buffer =>
  makeMbr([
    [1, 0x83, 4096, 2048],
    [2, 0x83, 2048, 2048],
  ])

const lengths = (plan: Awaited<ReturnType<typeof grown>>) =>
  plan.table.partitions.map(({ number, length }) => [number, length / MiB])

suite('the partition that ends last grows', () => {
  const rows: [name: string, image: Buffer, changes: Partial<BootAreasInput>, lengths: number[][]][] = [
    [
      'on GPT, up to the backup',
      gpt(),
      {},
      [
        [1, 1],
        [2, 8],
        [3, 1],
      ],
    ],
    [
      'on GPT, up to the config drive',
      gpt(),
      { configDriveBytes: MiB },
      [
        [1, 1],
        [2, 7],
        [3, 1],
        [4, 1],
      ],
    ],
    [
      'on GPT, up to the MiB before the backup',
      gpt(),
      { diskSize: 12 * MiB + 100 * 512 },
      [
        [1, 1],
        [2, 9],
        [3, 1],
      ],
    ],
    [
      'on GPT, up to the MiB before a backup that just reaches into it',
      gpt(),
      { diskSize: 12 * MiB + 32 * 512 },
      [
        [1, 1],
        [2, 8],
        [3, 1],
      ],
    ],
    [
      'on GPT of 4096 byte sectors',
      gpt(4096),
      { sectorSize: 4096 },
      [
        [1, 1],
        [2, 8],
        [3, 1],
      ],
    ],
    [
      'on GPT beyond 2 TiB',
      gpt(),
      { diskSize: 5 * TiB },
      [
        [1, 1],
        [2, (5 * TiB) / MiB - 4],
        [3, 1],
      ],
    ],
    [
      'on MBR, up to the end of the disk',
      mbr(),
      {},
      [
        [1, 10],
        [2, 1],
      ],
    ],
    [
      'on MBR, up to the config drive',
      mbr(),
      { configDriveBytes: MiB },
      [
        [1, 8],
        [2, 1],
        [3, 1],
      ],
    ],
    [
      'on MBR, up to 2 TiB',
      mbr(),
      { diskSize: 3 * TiB },
      [
        [1, (2 * TiB) / MiB - 2],
        [2, 1],
      ],
    ],
    [
      'on MBR of 4096 byte sectors, up to 16 TiB',
      makeMbr([[1, 0x83, 256, 256]]),
      { sectorSize: 4096, diskSize: 20 * TiB },
      [[1, (16 * TiB) / MiB - 1]],
    ],
  ] // prettier-ignore
  for (const [name, image, changes, expected] of rows) {
    test(`${name}.`, async () => {
      const plan = await grown(image, changes)
      assert.deepEqual(lengths(plan), expected)
      assert.match(plan.notes.join('\n'), /^Partition [12] was grown from 1048576 to \d+ bytes\.$/m)
    })
  }

  test('in both copies of a GPT, and nothing else of the entry changes.', async () => {
    const image = gpt()
    const plan = await grown(image)
    const before = image.subarray(1024, 1024 + 16384)
    const after = plan.head.subarray(1024, 1024 + 16384)
    assert.deepEqual(plan.tail.subarray(-512 - 16384, -512), after)
    const changed = [...after.keys()].filter((at) => after[at] !== before[at])
    assert.ok(changed.length > 0 && changed.every((at) => at >= 128 + 40 && at < 128 + 48), String(changed))
  })

  test('in an MBR with its boot flag, its type and its first address.', async () => {
    const image = mbr()
    image[446] = 0x80
    image.set([1, 2, 3], 447)
    const { head } = await grown(image)
    assert.deepEqual(head.subarray(446, 454), Uint8Array.from([0x80, 1, 2, 3, 0x83, 0xff, 0xff, 0xff]))
  })

  test('over a config drive of the image that is replaced.', async () => {
    const unit = MiB / 512
    const image = makeGpt({
      partitions: [
        { start: unit, end: 2 * unit - 1 },
        { start: 2 * unit, end: 3 * unit - 1, name: 'config-2' },
      ],
    })
    const plan = await grown(image, { configDriveBytes: MiB })
    assert.deepEqual(lengths(plan), [
      [1, 9],
      [2, 1],
    ]) // prettier-ignore
    assert.equal(plan.configDrive?.offset, 10 * MiB)
  })

  test('not over an entry array that stands behind it.', async () => {
    const image = makeGpt({
      partitions: [{ start: 34, end: 99 }],
      primary: { entriesLba: 1024, firstUsableLba: 34 },
    })
    assert.deepEqual((await grown(image)).table.partitions[0]?.length, 66 * 512)
  })
})

suite('what an earlier owner left at the end of the grown partition', () => {
  const wipes: [name: string, image: Buffer, changes: Partial<BootAreasInput>, wipe: object | null][] = [
    ['is zeroed before the config drive', gpt(), { configDriveBytes: MiB }, { offset: 9 * MiB, length: MiB }],
    ['is zeroed up to the last MiB', gpt(), {}, { offset: 10 * MiB, length: MiB }],
    [
      'is zeroed only where it is new',
      gpt(),
      { diskSize: 5.5 * MiB },
      { offset: 4 * MiB, length: 0.5 * MiB },
    ],
    ['is in the last MiB', mbr(), {}, null],
  ] // prettier-ignore
  for (const [name, image, changes, wipe] of wipes) {
    test(`${name}.`, async () => {
      image.fill(0xff, image.length - 600 * 1024, image.length - 200 * 1024) // of no partition, but of the image
      const plan = await grown(image, changes)
      assert.deepEqual(plan.wipe, wipe)
      const diskSize = changes.diskSize ?? 12 * MiB
      const end = Math.max(...plan.table.partitions.slice(0, 3).map(({ offset, length }) => offset + length))
      const inTail = Math.max(end - (diskSize - MiB), 0)
      assert.ok(plan.tail.subarray(0, inTail).every((byte) => byte === 0))
    })
  }

  test('is not touched where nothing grows.', async () => {
    assert.equal((await planBootAreas(inputFor(gpt()))).wipe, null)
  })
})

const refusals: [name: string, image: () => Buffer, cause: RegExp][] = [
  ['an image without a partition table', () => Buffer.alloc(MiB), /no partition table/],
  [
    'partitions that overlap',
    () =>
      makeMbr([
        [1, 0x83, 0, 8192],
        [2, 0xef, 2048, 1000],
      ]),
    /overlaps partition 2/,
  ],
  [
    'an extended partition',
    () => {
      const image = makeMbr([
        [1, 0x83, 2048, 2048],
        [2, 0x05, 4096, 4000],
      ])
      putPartitions(image, 4096, [[1, 0x83, 63, 1000]])
      return image
    },
    /extended partition and cannot grow/,
  ],
  [
    'a partition that a hybrid MBR lists',
    () => {
      const image = makeGpt()
      putPartitions(image, 0, [[2, 0x83, 2048, 2048]])
      return image
    },
    /hybrid MBR as well/,
  ],
]
for (const [name, image, cause] of refusals) {
  test(`Growing ${name} is refused.`, async () => {
    await assert.rejects(grown(image()), (error) => {
      assert.ok(error instanceof ImagingError)
      assert.equal(error.code, 'GPT')
      assert.match(error.cause, cause)
      return true
    })
  })
}

test('Where nothing is free behind the last partition, a note says so and the table stays.', async () => {
  const full = makeMbr([[1, 0x83, 2048, 6144]])
  for (const image of [gpt(), full]) {
    const plan = await grown(image, { diskSize: image.length })
    const { table } = await planBootAreas(inputFor(image, { diskSize: image.length }))
    assert.deepEqual(plan.table, table)
    assert.match(plan.notes.join('\n'), /could not grow/)
  }
})
