import assert from 'node:assert/strict'
import { BOOT_AREA, type BootAreas, type BootAreasInput } from '../table/boot-areas.types.ts'
import { planBootAreas } from '../table/plan-boot-areas.ts'
import { type ImageTable, readTable } from '../table/read-table.ts'
import type { Fuzzer } from './fuzzer.ts'
import { makeGptImage } from './gpt-image.ts'
import { makeMbrImage } from './mbr-image.ts'
import { chanceOf } from './pieces.ts'
import type { Random } from './random.ts'
import { decodeSparse, encodeSparse, readerOf, type SparseImage } from './sparse-image.ts'

/** The part of the runs that plan the boot areas as well, which takes much longer than reading the table. */
const PLANNED = 0.05

const tableFuzzer = (make: (random: Random) => SparseImage): Fuzzer => ({
  make: (random) => encodeSparse(make(random)),
  async check(file) {
    const image = decodeSparse(file)
    const input: BootAreasInput = { ...image, read: readerOf(image) }
    const table = await readTable(input, input.diskSize)
    checkTable(table, input)
    if (chanceOf(file).chance(PLANNED)) await checkPlan(image, table.kind, await planBootAreas(input))
  },
})

export const gptFuzzer = tableFuzzer(makeGptImage)
export const mbrFuzzer = tableFuzzer(makeMbrImage)

function checkTable(table: ImageTable, { diskSize, sectorSize }: BootAreasInput): void {
  const ends =
    table.kind === 'gpt'
      ? table.entries.map(({ endLba }) => endLba + 1)
      : table.kind === 'mbr'
        ? [...table.primary, ...table.logical].map(({ startLba, sectors }) => startLba + sectors)
        : []
  for (const end of ends) assert.ok(end * sectorSize <= diskSize, `a partition ends at sector ${end}`)
}

/** The disk that comes of the plan must show what the plan says, and nothing of it may be where nothing may be. */
async function checkPlan(image: SparseImage, kind: ImageTable['kind'], plan: BootAreas): Promise<void> {
  const { diskSize, sectorSize } = image
  assert.deepEqual([plan.head.length, plan.tail.length], [BOOT_AREA, BOOT_AREA])
  assert.equal(plan.table.kind, kind)
  const { configDrive } = plan
  assert.equal(configDrive !== null, image.configDriveBytes > 0)
  if (configDrive) {
    assert.ok(
      configDrive.offset >= BOOT_AREA && configDrive.offset + configDrive.length <= diskSize - BOOT_AREA,
    )
    assert.ok(configDrive.length >= image.configDriveBytes)
  }
  const disk: SparseImage = {
    ...image,
    imageSize: diskSize,
    parts: [
      ...image.parts,
      { offset: 0, bytes: Buffer.from(plan.head.buffer, plan.head.byteOffset, BOOT_AREA) },
      { offset: diskSize - BOOT_AREA, bytes: Buffer.from(plan.tail.buffer, plan.tail.byteOffset, BOOT_AREA) },
    ],
  }
  // Without a table nothing is changed, and garbage may look like a table once the disk has room for it.
  if (kind === 'none') return
  const written = await readTable({ ...disk, read: readerOf(disk) }, diskSize)
  assert.equal(written.kind, kind, 'the disk has another kind of table than planned')
  const found =
    written.kind === 'gpt'
      ? written.entries.map(({ startLba, endLba }) => [startLba, endLba + 1])
      : written.kind === 'mbr'
        ? [...written.primary, ...written.logical].map(({ startLba, sectors }) => [
            startLba,
            startLba + sectors,
          ])
        : []
  const planned = plan.table.partitions.map(({ offset, length }) => [
    offset / sectorSize,
    (offset + length) / sectorSize,
  ])
  assert.deepEqual(found, planned, 'the disk has other partitions than planned')
  if (written.kind === 'gpt')
    assert.deepEqual([written.repaired, written.notes.filter(isAboutCopies)], [false, []])
}

const isAboutCopies = (note: string): boolean => /backup|primary/i.test(note)
