import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutputBuffer, type Piece } from './output-buffer.ts'

const limits = { bytesPerSecond: 100, burstBytes: 1000, pendingBytes: 500 }
const bytes = (length: number, from = 0) => Uint8Array.from({ length }, (_, at) => from + at)

async function taken(buffer: OutputBuffer, maxBytes = 8192): Promise<Piece[]> {
  const pieces: Piece[] = []
  for (;;) {
    const next = await buffer.next(maxBytes, 1)
    if (next === null || next === 'quiet') return pieces
    pieces.push(next)
  }
}

test('what comes close together goes out together, in rows of no more than was asked for', async () => {
  const buffer = new OutputBuffer(limits)
  buffer.push(bytes(5))
  buffer.push(bytes(5, 5))
  buffer.push(bytes(3, 10))
  const pieces = await taken(buffer, 4)
  assert.deepEqual(
    pieces.map(({ dropped, data }) => [dropped, ...data]),
    [
      [0, 0, 1, 2, 3],
      [0, 4, 5, 6, 7],
      [0, 8, 9, 10, 11],
      [0, 12],
    ],
  )
})

test('bytes are kept although their owner uses the memory again', async () => {
  const buffer = new OutputBuffer(limits)
  const chunk = bytes(3)
  buffer.push(chunk)
  chunk.fill(9)
  assert.deepEqual([...((await taken(buffer))[0]?.data ?? [])], [0, 1, 2])
})

test('what waits is bounded, and what is dropped is counted where it is missing', async () => {
  let now = 0
  const buffer = new OutputBuffer(limits, () => now)
  buffer.push(new Uint8Array(600))
  assert.equal(buffer.size, 500)
  buffer.push(new Uint8Array(50))
  const first = await buffer.next(8192, 1)
  buffer.push(new Uint8Array(20))
  buffer.end()
  now += 1
  const rest = await taken(buffer)
  assert.ok(first !== null && first !== 'quiet')
  assert.deepEqual(
    [first, ...rest].map(({ dropped, data }) => [dropped, data.length]),
    [
      [0, 500],
      [150, 20],
    ],
  )
})

test('a flood is taken in at its rate, and none of it is left uncounted', async () => {
  let now = 0
  const buffer = new OutputBuffer(limits, () => now)
  const all: Piece[] = []
  for (let second = 0; second < 100; second += 1) {
    for (let turn = 0; turn < 10; turn += 1) {
      buffer.push(new Uint8Array(100))
      now += 100
      all.push(...(await taken(buffer)))
    }
  }
  buffer.push(new Uint8Array(1))
  buffer.end()
  all.push(...(await taken(buffer)))
  const kept = all.reduce((sum, { data }) => sum + data.length, 0)
  const dropped = all.reduce((sum, piece) => sum + piece.dropped, 0)
  assert.ok(kept >= 10_900 && kept <= 11_001, String(kept))
  assert.ok(100_001 - kept - dropped <= 1, `${kept} ${dropped}`)
})

test('who waits is told of silence, and of the end', async () => {
  const buffer = new OutputBuffer(limits)
  assert.equal(await buffer.next(10, 1), 'quiet')
  const waiting = buffer.next(10, 10_000)
  buffer.push(bytes(1))
  assert.deepEqual(await waiting, { dropped: 0, data: Buffer.from([0]) })
  const ending = buffer.next(10, 10_000)
  buffer.end()
  assert.equal(await ending, null)
})
