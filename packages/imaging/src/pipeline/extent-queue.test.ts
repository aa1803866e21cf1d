import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Extent } from '../decode/extent.ts'
import { ExtentQueue } from './extent-queue.ts'
import { BLOCK, REGION } from './written-map.ts'

const copy = (source: number, disk: number, size: number): Extent => ({
  source,
  length: size,
  disk,
  size,
  codec: 'copy',
})
const cluster = (source: number, disk: number): Extent => ({
  source,
  length: 900,
  disk,
  size: BLOCK,
  codec: 'deflate',
})

/** Everything that a queue gives out, job by job. */
function drain(queue: ExtentQueue): Extent[][] {
  const jobs: Extent[][] = []
  for (let job = queue.take(true, true); job.length > 0; job = queue.take(true, true)) jobs.push(job)
  return jobs
}

test('copies that continue each other become one run, whatever the sizes in which they arrive', () => {
  const queue = new ExtentQueue()
  for (let at = 0; at < REGION; at += 100_000) queue.add(copy(at, at, Math.min(100_000, REGION - at)))
  assert.deepEqual(drain(queue), [[copy(0, 0, REGION)]])
})

test('runs longer than a job are cut where a region of the disk ends', () => {
  const queue = new ExtentQueue()
  queue.add(copy(BLOCK, BLOCK, 2 * REGION))
  assert.deepEqual(
    drain(queue)
      .flat()
      .map(({ disk, size }) => [disk, size]),
    [
      [BLOCK, REGION - BLOCK],
      [REGION, BLOCK],
      [REGION + BLOCK, REGION],
    ],
  )
})

test('a run that may still grow is given out in whole blocks, and its rest is kept', () => {
  const queue = new ExtentQueue()
  queue.add(copy(0, 0, BLOCK + 700))
  assert.deepEqual(queue.take(true, false), [copy(0, 0, BLOCK)])
  assert.deepEqual(queue.take(true, false), [])
  assert.equal(queue.needsFrom, BLOCK)
  queue.add(copy(BLOCK + 700, BLOCK + 700, BLOCK - 700))
  assert.deepEqual(drain(queue), [[copy(BLOCK, BLOCK, BLOCK)]])
  assert.ok(queue.isEmpty)
})

test('nothing is given out before a job is full, unless there is a hurry', () => {
  const queue = new ExtentQueue()
  queue.add(cluster(1000, 0))
  assert.deepEqual(queue.take(false, false), [])
  assert.equal(queue.take(true, false).length, 1)
})

test('the clusters of a job are sorted by their place on the disk, and none is lost', () => {
  const queue = new ExtentQueue()
  const disks = Array.from({ length: 100 }, (_, index) => ((index * 37) % 100) * BLOCK)
  disks.forEach((disk, index) => queue.add(cluster(index * 1000, disk)))
  const jobs = drain(queue)
  for (const job of jobs) {
    const places = job.map(({ disk }) => disk)
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    )
    assert.ok(job.reduce((sum, { size }) => sum + size, 0) <= REGION)
  }
  assert.deepEqual(
    jobs
      .flat()
      .map(({ disk }) => disk)
      .toSorted((a, b) => a - b),
    disks.toSorted((a, b) => a - b),
  )
})

test('what was put back comes again first', () => {
  const queue = new ExtentQueue()
  queue.add(copy(0, 0, REGION))
  const taken = queue.take(false, false)
  queue.putBack(taken)
  assert.equal(queue.needsFrom, 0)
  assert.deepEqual(drain(queue), [taken])
})
