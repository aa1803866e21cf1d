import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ringBytes, threadCount } from './thread-count.ts'

const MiB = 1024 * 1024

for (const [processors, freeMiB, threads] of [
  [1, 16_384, 2],
  [2, 300, 2],
  [2, 16_384, 2],
  [4, 16_384, 4],
  [64, 16_384, 8],
  [64, 500, 3],
  [64, 100, 2],
] as const) {
  test(`${processors} processors and ${freeMiB} MiB free make ${threads} threads`, () => {
    assert.equal(threadCount(processors, freeMiB * MiB), threads)
  })
}

test('the buffer grows with the threads, so that each has a job running and one waiting', () => {
  assert.equal(ringBytes(2), 12 * MiB)
  assert.ok(ringBytes(8) >= 8 * 2 * 2 * MiB)
})
