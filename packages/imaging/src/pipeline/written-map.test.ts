import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { linearCrc, shiftCrc } from './crc.ts'
import { BLOCK, REGION, shareWritten, WrittenMap } from './written-map.ts'

const region = () =>
  Buffer.concat([Buffer.alloc(REGION / 4), randomBytes(REGION / 2), Buffer.alloc(REGION / 4)])

test('zeros in front of the data do not change its checksum, and zeros behind it are a shift', () => {
  const data = randomBytes(50_001)
  for (const zeros of [0, 1, 511, BLOCK, REGION - 50_001]) {
    assert.equal(linearCrc(Buffer.concat([Buffer.alloc(zeros), data])), linearCrc(data))
    assert.equal(linearCrc(Buffer.concat([data, Buffer.alloc(zeros)])), shiftCrc(linearCrc(data), zeros))
  }
})

for (const piece of [512, 4096, 65536, 1_000_000, REGION]) {
  test(`pieces of ${piece} bytes, written backwards, give the checksum of their region read as one`, () => {
    const map = new WrittenMap(shareWritten(3 * REGION))
    const content = region()
    const starts = Array.from({ length: Math.ceil(REGION / piece) }, (_, index) => index * piece)
    for (const at of starts.reverse()) map.add(REGION + at, content.subarray(at, at + piece))
    assert.equal(map.checksum(1), linearCrc(content))
    assert.deepEqual([map.checksum(0), map.checksum(2)], [0, 0])
  })
}

test('a run over the end of a region counts for both regions', () => {
  const map = new WrittenMap(shareWritten(2 * REGION))
  const content = randomBytes(2 * BLOCK)
  map.add(REGION - BLOCK, content)
  assert.equal(map.checksum(0), linearCrc(content.subarray(0, BLOCK)))
  assert.equal(map.checksum(1), shiftCrc(linearCrc(content.subarray(BLOCK)), REGION - BLOCK))
})

test('exchanged blocks and flipped bits change the checksum', () => {
  const content = region()
  const other = Buffer.concat([content.subarray(BLOCK * 12), content.subarray(0, BLOCK * 12)])
  const flipped = Buffer.from(content)
  flipped[REGION / 2] = (flipped[REGION / 2] as number) ^ 1
  assert.notEqual(linearCrc(other), linearCrc(content))
  assert.notEqual(linearCrc(flipped), linearCrc(content))
})

test('the map lists what was written and what was not, cut at the end of the disk', () => {
  const end = REGION + 40_000
  const map = new WrittenMap(shareWritten(end))
  map.add(BLOCK, Buffer.alloc(1, 1)) // one byte counts for its block
  map.add(3 * BLOCK, Buffer.alloc(2 * BLOCK, 1))
  map.add(REGION, Buffer.alloc(512, 1))
  assert.deepEqual(map.runs(0, true, end), [
    { offset: BLOCK, length: BLOCK },
    { offset: 3 * BLOCK, length: 2 * BLOCK },
  ])
  assert.deepEqual(map.runs(0, false, end), [
    { offset: 0, length: BLOCK },
    { offset: 2 * BLOCK, length: BLOCK },
    { offset: 5 * BLOCK, length: REGION - 5 * BLOCK },
  ])
  assert.deepEqual(map.runs(1, true, end), [{ offset: REGION, length: 40_000 }])
  assert.deepEqual(map.runs(1, false, end), [])
  assert.equal(map.bytesWritten(), 4 * BLOCK)
})

test('a whole region is one run', () => {
  const map = new WrittenMap(shareWritten(REGION))
  map.markZeroed(0, REGION)
  assert.deepEqual(map.runs(0, true, REGION), [{ offset: 0, length: REGION }])
  assert.equal(map.checksum(0), 0)
})
