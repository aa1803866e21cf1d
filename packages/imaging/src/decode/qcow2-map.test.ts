import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { readQcow2Map } from './qcow2-map.ts'
import { AT, CLUSTER, COPIED, drive, plainImage, sourceOf, unplanned } from './test-images.ts'
import { PlannedQcow2Decoder } from './qcow2-planned.ts'

const MiB = 1 << 20
const SPAN = 512 * CLUSTER

/** An image whose L2 tables stand at these places; each maps its first cluster to one of its own behind the tables. */
function imageWith(tables: number[], l1 = AT.l1): Buffer {
  const end = Math.max(...tables, l1) + CLUSTER
  const image = Buffer.concat([plainImage().subarray(0, 5 * CLUSTER)], end + tables.length * CLUSTER)
  image.fill(0, AT.l1, 5 * CLUSTER)
  image.writeBigUInt64BE(BigInt(tables.length * SPAN), 24)
  image.writeUInt32BE(tables.length, 36)
  image.writeBigUInt64BE(BigInt(l1), 40)
  for (const [index, table] of tables.entries()) {
    image.writeBigUInt64BE(COPIED | BigInt(table), l1 + index * 8)
    image.writeBigUInt64BE(COPIED | BigInt(end + index * CLUSTER), table)
    image.fill(`data of table ${index} `, end + index * CLUSTER, end + (index + 1) * CLUSTER)
  }
  return image
}

/** Where and how much is read for the L2 tables. */
async function readsOf(tables: number[]): Promise<[offset: number, length: number][]> {
  const source = sourceOf(imageWith(tables))
  const reads: [number, number][] = []
  const map = await readQcow2Map(
    {
      ...source,
      readAt(offset, into) {
        reads.push([offset, into.length])
        return source.readAt(offset, into)
      },
    },
    { budgetBytes: MiB },
  )
  assert.equal(map?.mappings.filter(Boolean).length, tables.length)
  assert.deepEqual(reads.slice(0, 3), [
    [0, 104],
    [0, CLUSTER],
    [AT.l1, tables.length * 8],
  ])
  return reads.slice(3)
}

describe('the tables of a qcow2 image are read', () => {
  const rows: [what: string, tables: number[], reads: [number, number][]][] = [
    ['alone where there is one', [MiB], [[MiB, CLUSTER]]],
    ['together where they touch', [MiB, MiB + CLUSTER], [[MiB, 2 * CLUSTER]]],
    ['together where 1 MiB lies between', [MiB, 2 * MiB + CLUSTER], [[MiB, MiB + 2 * CLUSTER]]],
    [
      'each alone where more lies between',
      [MiB, 2 * MiB + 2 * CLUSTER],
      [
        [MiB, CLUSTER],
        [2 * MiB + 2 * CLUSTER, CLUSTER],
      ],
    ],
    [
      'together up to 4 MiB',
      [MiB, 2 * MiB, 3 * MiB, 4 * MiB, 5 * MiB - CLUSTER, 5 * MiB],
      [
        [MiB, 4 * MiB],
        [5 * MiB, CLUSTER],
      ],
    ],
    [
      'in the order of the file',
      [9 * MiB, MiB, 5 * MiB],
      [
        [MiB, CLUSTER],
        [5 * MiB, CLUSTER],
        [9 * MiB, CLUSTER],
      ],
    ],
  ]
  for (const [what, tables, reads] of rows)
    test(what, async () => assert.deepEqual(await readsOf(tables), reads))

  test('not at all where that takes more than 256 MiB', async () => {
    const scattered = (count: number, step: number) =>
      Array.from({ length: count }, (_, index) => MiB + index * step)
    /** Only header and L1 table are there; every L2 table is zeros. */
    const sparse = (tables: number[]) => {
      const image = imageWith(tables.map((_, index) => 6 * CLUSTER + index * CLUSTER))
      for (const [index, table] of tables.entries()) image.writeBigUInt64BE(BigInt(table), AT.l1 + index * 8)
      const size = Math.max(...tables) + CLUSTER
      return {
        size,
        readAt(offset: number, into: Uint8Array) {
          if (offset < 5 * CLUSTER) image.copy(into, 0, offset, offset + into.length)
          return Promise.resolve()
        },
      }
    }
    const within = await readQcow2Map(sparse(scattered(200, MiB)), { budgetBytes: MiB })
    assert.equal(within?.fileSize, 200 * MiB + CLUSTER)
    assert.equal(await readQcow2Map(sparse(scattered(400, MiB)), { budgetBytes: MiB }), null)
  })
})

describe('header, L1 table and L2 tables of a qcow2 image', () => {
  const places: [what: string, tables: number[], l1: number][] = [
    ['with the L1 table first', [8 * CLUSTER, 12 * CLUSTER], AT.l1],
    ['with the L1 table between', [8 * CLUSTER, 12 * CLUSTER], 10 * CLUSTER],
    ['with the L1 table last', [8 * CLUSTER, 12 * CLUSTER], 20 * CLUSTER],
  ]
  for (const [what, tables, l1] of places)
    test(`${what}: are noted in the order of the file and recognised in the stream`, async () => {
      const image = imageWith(tables, l1)
      const map = await readQcow2Map(sourceOf(image), { budgetBytes: MiB })
      assert.ok(map)
      const lengths = new Map([
        [0, CLUSTER],
        [l1, 16],
        ...tables.map((table): [number, number] => [table, CLUSTER]),
      ])
      assert.deepEqual([...map.metadata.ranges], [...lengths].toSorted(([a], [b]) => a - b).flat())
      for (const pieces of [700, 5000]) {
        const disk = drive(new PlannedQcow2Decoder(map), image, pieces)
        for (const index of tables.keys())
          assert.equal(disk.toString('latin1', index * SPAN, index * SPAN + 15), `data of table ${index}`)
        assert.ok(drive(unplanned(image, { lookBehind: 0 }), image, pieces).equals(disk))
        assert.ok(drive(unplanned(image, { chunked: true }), image, pieces).equals(disk))
      }
    })

  test('that two L1 entries share are refused', async () => {
    const image = imageWith([8 * CLUSTER, 12 * CLUSTER])
    image.writeBigUInt64BE(COPIED | BigInt(8 * CLUSTER), AT.l1 + 8)
    await assert.rejects(
      readQcow2Map(sourceOf(image), { budgetBytes: MiB }),
      (error) => error instanceof ImagingError && /L1 entries 0 and 1 use one table/.test(error.cause),
    )
  })
})
