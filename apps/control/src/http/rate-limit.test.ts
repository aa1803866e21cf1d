import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from './rate-limit.ts'

test('a burst is let through, then the rate, and the wait is told in seconds', () => {
  let now = 0
  const limit = new RateLimit({ perSecond: 2, burst: 3 }, () => now)
  assert.deepEqual([limit.take('a'), limit.take('a'), limit.take('a'), limit.take('a')], [0, 0, 0, 0.5])
  assert.equal(limit.take('b'), 0)
  now += 500
  assert.equal(limit.take('a'), 0)
  assert.ok(limit.take('a') > 0)
  now += 3_600_000
  assert.deepEqual([limit.take('a'), limit.take('a'), limit.take('a'), limit.take('a')], [0, 0, 0, 0.5])
})

test('a look takes nothing', () => {
  const limit = new RateLimit({ perSecond: 1, burst: 1 }, () => 0)
  assert.deepEqual([limit.wait('a'), limit.wait('a'), limit.take('a'), limit.wait('a')], [0, 0, 0, 1])
})

test('names that were not seen for longest are forgotten first, so that memory is bounded', () => {
  const limit = new RateLimit({ perSecond: 0.001, burst: 1 }, () => 0)
  for (const name of ['first', 'second']) limit.take(name)
  for (let at = 0; at < 9_999; at++) limit.take(`name ${at}`)
  assert.equal(limit.wait('first'), 0)
  assert.ok(limit.wait('second') > 0)
})
