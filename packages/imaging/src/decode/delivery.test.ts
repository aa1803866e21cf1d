import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { appendCopy, Delivery, MAX_EXTENT } from './delivery.ts'
import type { Extent } from './extent.ts'
import { Runs, RunsBuilder } from './runs.ts'

const KiB = 1024
const CLUSTER = 64 * KiB
const GEOMETRY = { clusterSize: CLUSTER, virtualSize: 100 * CLUSTER + 512, codec: 'zstd' } as const

type Row = [source: number, disk: number, length: number, compressed?: 'compressed']

function runsOf(...rows: Row[]): Runs {
  const builder = new RunsBuilder()
  for (const [source, disk, length, compressed] of rows) {
    if (compressed) builder.compressed(source, disk, length)
    else builder.copy(source, disk, length)
  }
  return new Runs(builder)
}

/** Extents as numbers: source, disk, length and, where it is another, size. */
const shown = (extents: Extent[]) =>
  extents.map(({ source, disk, length, size }) => [source, disk, length, ...(size === length ? [] : [size])])

function advance(delivery: Delivery, end: number): number[][] {
  const extents: Extent[] = []
  delivery.advance(end, extents)
  return shown(extents)
}

function finish(delivery: Delivery, total: number): number[][] {
  const extents: Extent[] = []
  delivery.finish(total, extents)
  return shown(extents)
}

describe('runs', () => {
  test('of copies that follow each other in file and disk are joined, and others are not', () => {
    const all = (...rows: Row[]) => {
      const runs = runsOf(...rows)
      return Array.from({ length: runs.count }, (_, index) => runs.inDiskOrder(index))
    }
    const copy = (source: number, disk: number, length: number) => ({
      source,
      disk,
      length,
      compressed: false,
    })
    assert.deepEqual(all([4096, 0, 512], [4608, 512, 1024]), [copy(4096, 0, 1536)])
    assert.deepEqual(all([4096, 0, 512], [5120, 512, 512]), [copy(4096, 0, 512), copy(5120, 512, 512)])
    assert.deepEqual(all([4096, 0, 512], [4608, 1024, 512]), [copy(4096, 0, 512), copy(4608, 1024, 512)])
    assert.deepEqual(all([4096, 0, 512, 'compressed'], [4608, 512, 512]), [
      { source: 4096, disk: 0, length: 512, compressed: true },
      copy(4608, 512, 512),
    ])
  })

  test('count what they map and cost, and are found by both orders', () => {
    const runs = runsOf([9216, 0, 512], [4096, 1024, 100, 'compressed'], [5120, 4096, 1024])
    assert.deepEqual([runs.count, runs.copied, runs.compressed, runs.cost], [3, 1536, 1, 760])
    assert.deepEqual(
      [0, 1, 2].map((rank) => runs.sourceOf(rank)),
      [4096, 5120, 9216],
    )
    assert.deepEqual(
      [0, 1, 2].map((rank) => runs.inSourceOrder(rank).disk),
      [1024, 4096, 0],
    )
    assert.deepEqual(runs.inSourceOrder(0), { source: 4096, disk: 1024, length: 100, compressed: true })
    assert.deepEqual(
      [0, 511, 1023, 1024, 4095, 4096, 9999].map((disk) => runs.atOrBefore(disk)),
      [0, 0, 0, 1, 1, 2, 2],
    )
    assert.equal(runsOf([4096, 512, 512]).atOrBefore(511), -1)
    assert.deepEqual([runsOf().count, runsOf().cost, runsOf().reserved], [0, 700, 0])
  })

  test('are as many as come, and a builder begins anew when it is cleared', () => {
    const builder = new RunsBuilder()
    for (let index = 0; index < 3000; index++) builder.copy(index * 1024, (3000 - index) * 1024, 512)
    builder.reserve(7)
    builder.reserve(5)
    const many = new Runs(builder)
    assert.deepEqual([many.count, many.copied, many.reserved], [3000, 3000 * 512, 7])
    assert.deepEqual(many.inDiskOrder(2999), {
      source: 2999 * 1024,
      disk: 1024,
      length: 512,
      compressed: false,
    })
    assert.deepEqual(many.inDiskOrder(0), { source: 0, disk: 3000 * 1024, length: 512, compressed: false })
    builder.clear()
    builder.copy(512, 512, 512)
    const few = new Runs(builder)
    assert.deepEqual([few.count, few.copied, few.reserved], [1, 512, 0])
    assert.equal(many.count, 3000)
  })
})

describe('what is delivered as the file goes past', () => {
  test('is each run as soon as its last byte has come, and not before', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([4096, 0, 4096], [12_288, 8192, 4096]), CLUSTER, 0)
    assert.deepEqual([delivery.left, delivery.cost], [8192, 740])
    assert.deepEqual(advance(delivery, 4096), [])
    assert.equal(delivery.needsFrom(4096), 4096)
    assert.deepEqual(advance(delivery, 8191), [])
    assert.equal(delivery.needsFrom(8191), 4096)
    assert.deepEqual(advance(delivery, 8192), [[4096, CLUSTER, 4096]])
    assert.deepEqual([delivery.left, delivery.cost, delivery.needsFrom(8192)], [4096, 740, 8192])
    assert.deepEqual(advance(delivery, 99_999), [[12_288, CLUSTER + 8192, 4096]])
    assert.deepEqual([delivery.left, delivery.cost, delivery.needsFrom(99_999)], [0, 0, 99_999])
  })

  test('is a long copy in pieces that end at multiples of 64 KiB in the file', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([4096, 0, 3 * CLUSTER]), 0, 0)
    assert.deepEqual(advance(delivery, CLUSTER - 1), [])
    assert.deepEqual(advance(delivery, CLUSTER), [[4096, 0, CLUSTER - 4096]])
    assert.equal(delivery.needsFrom(CLUSTER + 9), CLUSTER)
    assert.deepEqual(advance(delivery, 2 * CLUSTER - 1), [])
    assert.deepEqual(advance(delivery, 3 * CLUSTER + 1), [[CLUSTER, CLUSTER - 4096, 2 * CLUSTER]])
    assert.equal(delivery.needsFrom(3 * CLUSTER + 1), 3 * CLUSTER)
    assert.equal(delivery.left, 4096)
    assert.deepEqual(advance(delivery, 3 * CLUSTER + 4096), [[3 * CLUSTER, 3 * CLUSTER - 4096, 4096]])
    assert.deepEqual([delivery.left, delivery.needsFrom(4 * CLUSTER)], [0, 4 * CLUSTER])
  })

  test('is a compressed cluster whole, whatever it passes', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([CLUSTER - 10, 0, 1000, 'compressed']), 0, 0)
    assert.deepEqual([delivery.left, advance(delivery, CLUSTER + 989)], [CLUSTER, []])
    assert.equal(delivery.needsFrom(CLUSTER + 989), CLUSTER - 10)
    assert.deepEqual(advance(delivery, CLUSTER + 990), [[CLUSTER - 10, 0, 1000, CLUSTER]])
    assert.equal(delivery.left, 0)
  })

  test('is a compressed cluster cut at the end of the disk', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([4096, 20 * CLUSTER, 1000, 'compressed']), 80 * CLUSTER, 0)
    assert.equal(delivery.left, 512)
    assert.deepEqual(advance(delivery, 8192), [[4096, 100 * CLUSTER, 1000, 512]])
    assert.equal(delivery.left, 0)
  })

  test('is in the order of the file, however many tables there are', () => {
    const delivery = new Delivery(GEOMETRY)
    const places = [7, 3, 9, 1, 8, 2, 6, 4, 5, 0]
    for (const [table, place] of places.entries())
      delivery.add(
        runsOf([(place + 1) * 8192, 0, 512], [(place + 21) * 8192, 4096, 512]),
        table * 1024 * KiB,
        0,
      )
    assert.equal(delivery.cost, places.length * 740)
    const extents = advance(delivery, 100 * 8192)
    assert.deepEqual(
      extents.map(([source]) => source),
      [...places.keys(), ...[...places.keys()].map((place) => place + 20)].map((place) => (place + 1) * 8192),
    )
    for (const [source, disk] of extents as [number, number][]) {
      const place = source / 8192 - 1
      assert.equal(disk, places.indexOf(place % 20) * 1024 * KiB + (place >= 20 ? 4096 : 0))
    }
    assert.deepEqual([delivery.left, delivery.cost], [0, 0])
  })

  test('is the same bytes to each place that shows them', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([4096, 0, 8192], [4096, 65_536, 4096], [8192, 131_072, 4096]), 0, 0)
    assert.deepEqual(advance(delivery, 8192), [[4096, 65_536, 4096]])
    assert.equal(delivery.needsFrom(8192), 4096)
    assert.deepEqual(
      advance(delivery, 12_288).toSorted((a, b) => (a[1] as number) - (b[1] as number)),
      [
        [4096, 0, 8192],
        [8192, 131_072, 4096],
      ],
    )
    assert.equal(delivery.left, 0)
  })

  test('is nothing of what began before a table was known', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.add(runsOf([4096, 0, 512], [8192, 4096, 512]), 0, 4097)
    assert.equal(delivery.left, 512)
    delivery.add(runsOf([4096, 0, 512]), 0, 4097)
    assert.deepEqual([delivery.left, delivery.cost], [512, 740])
    delivery.add(runsOf([4096, 0, 512]), 65_536, 4096)
    assert.equal(delivery.left, 1024)
    assert.deepEqual(advance(delivery, 99_999), [
      [4096, 65_536, 512],
      [8192, 4096, 512],
    ])
  })

  test('is a run that was added alone', () => {
    const delivery = new Delivery(GEOMETRY)
    delivery.addRun({ source: 4096, disk: 512, length: 1024, compressed: false })
    assert.deepEqual([delivery.left, delivery.needsFrom(4500)], [1024, 4096])
    assert.deepEqual(advance(delivery, 5119), [])
    assert.deepEqual(advance(delivery, 5120), [[4096, 512, 1024]])
    assert.equal(delivery.left, 0)
  })

  test('is at the end of the file a compressed cluster without the padding of its last sector only', () => {
    const cases: [length: number, total: number, delivered: boolean][] = [
      [1024, 4096 + 600, true],
      [1024, 4096 + 513, true],
      [1024, 4096 + 512, false],
    ]
    for (const [length, total, delivered] of cases) {
      const delivery = new Delivery(GEOMETRY)
      delivery.add(runsOf([4096, 0, length, 'compressed']), 0, 0)
      assert.deepEqual(finish(delivery, total), delivered ? [[4096, 0, total - 4096, CLUSTER]] : [])
      assert.equal(delivery.left, delivered ? 0 : CLUSTER)
      assert.equal(delivery.needsFrom(total), total)
    }
    const cut = new Delivery(GEOMETRY)
    cut.add(runsOf([4096, 0, 1024]), 0, 0)
    assert.deepEqual([finish(cut, 4096 + 600), cut.left], [[], 1024])
  })
})

describe('copies', () => {
  test('grow where both file and disk go on, up to 2 MiB, and are cut there', () => {
    const out: Extent[] = []
    appendCopy(out, 0, 512, 1024)
    appendCopy(out, 1024, 1536, 512)
    assert.deepEqual(shown(out), [[0, 512, 1536]])
    appendCopy(out, 1536, 4096, 512)
    appendCopy(out, 9999, 4608, 512)
    assert.deepEqual(shown(out).slice(1), [
      [1536, 4096, 512],
      [9999, 4608, 512],
    ])
    appendCopy(out, 10_511, 5120, 2 * MAX_EXTENT)
    assert.deepEqual(shown(out).slice(2), [
      [9999, 4608, MAX_EXTENT],
      [9999 + MAX_EXTENT, 4608 + MAX_EXTENT, MAX_EXTENT],
      [9999 + 2 * MAX_EXTENT, 4608 + 2 * MAX_EXTENT, 512],
    ])
  })

  test('do not grow what is compressed', () => {
    const out: Extent[] = [{ source: 0, length: 512, disk: 0, size: 512, codec: 'zstd' }]
    appendCopy(out, 512, 512, 512)
    assert.equal(out.length, 2)
  })
})
