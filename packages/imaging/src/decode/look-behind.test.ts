import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Extent } from './extent.ts'
import { LookBehind } from './look-behind.ts'

const compressed = (source: number, length: number): Extent => ({
  source,
  length,
  disk: 0,
  size: 4096,
  codec: 'deflate',
})
const copy = (source: number, length: number): Extent => ({
  source,
  length,
  disk: 0,
  size: length,
  codec: 'copy',
})

/** What is kept, as start and length in sectors, when everything up to sector 16 is let go. */
function keptOf(extents: Extent[]): [number, number][] {
  const window = new LookBehind(16 * 512)
  for (const extent of extents) window.markExtent(extent)
  const kept: [number, number][] = []
  window.raise(16 * 512, (start, length) => kept.push([start / 512, length / 512]))
  return kept
}

describe('what falls out of the look-behind', () => {
  const rows: [name: string, extents: Extent[], kept: [number, number][]][] = [
    ['nothing known: all is kept', [], [[0, 16]]],
    [
      'a copy is not kept',
      [copy(4 * 512, 8 * 512)],
      [
        [0, 4],
        [12, 4],
      ],
    ],
    ['the last sector of a compressed cluster may hold more', [compressed(0, 8 * 512)], [[7, 9]]],
    [
      'so may its first',
      [compressed(100, 8 * 512 - 100), compressed(8 * 512, 8 * 512)],
      [
        [0, 1],
        [7, 1],
        [15, 1],
      ],
    ],
    [
      'a sector where one ends and the next begins is known',
      [compressed(0, 8 * 512), compressed(7 * 512 + 50, 5 * 512 - 50)],
      [[11, 5]],
    ],
    ['a cluster inside one sector does not end it', [compressed(3 * 512 + 10, 502)], [[0, 16]]],
  ]
  for (const [name, extents, kept] of rows) test(name, () => assert.deepEqual(keptOf(extents), kept))

  test('sectors are forgotten once let go, however often the memory goes round', () => {
    const window = new LookBehind(8 * 512)
    for (let round = 0; round < 40; round++) {
      const from = round * 8 * 512
      window.mark(from, from + 4 * 512)
      const kept: number[] = []
      window.raise(from + 8 * 512, (start, length) => kept.push(start - from, length))
      assert.deepEqual(kept, [4 * 512, 4 * 512])
    }
  })
})
