import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { LookBehind } from './look-behind.ts'
import { openRawView, RawDecoder } from './raw-stream.ts'
import { CHUNK, type ChunkStore, Spool } from './spool.ts'
import { sourceOf } from './test-images.ts'

const says = (code: string, cause: RegExp) => (error: unknown) =>
  error instanceof ImagingError && error.code === code && cause.test(error.cause)

/** A store that writes down what it is asked. */
function storeOf(size: number) {
  const asked: string[] = []
  const places: (Buffer | undefined)[] = []
  const movers: ((bytes: Buffer) => void)[] = []
  const store: ChunkStore = {
    announce: () => void asked.push('announce'),
    put(bytes, moveAway) {
      if (places.filter(Boolean).length === size) return null
      movers.push(moveAway)
      const place = places.push(Buffer.from(bytes)) - 1
      asked.push(`put ${place}`)
      return place
    },
    get(place) {
      asked.push(`get ${place}`)
      return places[place] ?? assert.fail(`nothing is in place ${place}`)
    },
    drop(place) {
      assert.ok(places[place], `place ${place} is dropped twice`)
      asked.push(`drop ${place}`)
      places[place] = undefined
    },
  }
  const moveAway = (place: number) => {
    const bytes = places[place] as Buffer
    places[place] = undefined
    movers[place]?.(bytes)
  }
  return { store, asked, moveAway }
}

describe('the memory of a spool', () => {
  test('is counted in chunks, and a chunk is filled before the next begins', () => {
    const spool = new Spool(3 * CHUNK, null)
    assert.equal(spool.used, 0)
    spool.append(0, Buffer.alloc(512), 0)
    assert.equal(spool.used, CHUNK)
    spool.append(4096, Buffer.alloc(CHUNK - 512), 0)
    assert.equal(spool.used, CHUNK)
    spool.append(2 * CHUNK, Buffer.alloc(512), 0)
    assert.equal(spool.used, 2 * CHUNK)
    spool.append(3 * CHUNK, Buffer.alloc(2 * CHUNK - 512), 0)
    assert.equal(spool.used, 3 * CHUNK)
    const full = /the 3145728 bytes of memory for holding data are full/
    assert.throws(() => spool.append(9 * CHUNK, Buffer.alloc(512), 0), says('RAM', full))
    spool.clear()
    assert.deepEqual([spool.used, spool.available(0, 512)], [0, 0])
    spool.append(9 * CHUNK, Buffer.alloc(512, 7), 0)
    assert.ok(spool.read(9 * CHUNK, 512).equals(Buffer.alloc(512, 7)))
  })

  test('is free when the last sector of a full chunk has found its place, in any order', () => {
    const spool = new Spool(2 * CHUNK, null)
    spool.append(0, Buffer.alloc(CHUNK + 512), 0)
    for (let at = CHUNK - 512; at > 0; at -= 512) spool.release(at, 512)
    assert.equal(spool.used, 2 * CHUNK)
    assert.equal(spool.available(0, CHUNK), CHUNK)
    spool.release(0, 512)
    assert.equal(spool.used, CHUNK)
    assert.equal(spool.available(0, CHUNK), 0)
    assert.equal(spool.available(CHUNK, CHUNK), 512)
    assert.equal(spool.read(0, 512).length, 0)
  })

  test('keeps the chunk that is being filled, though nothing of it is needed, until the next begins', () => {
    const spool = new Spool(2 * CHUNK, null)
    spool.append(0, Buffer.alloc(512), 0)
    spool.release(0, 512)
    assert.equal(spool.used, CHUNK)
    spool.append(512, Buffer.alloc(CHUNK - 512, 9), 0)
    assert.equal(spool.used, CHUNK)
    spool.release(512, CHUNK - 512)
    assert.equal(spool.used, CHUNK)
    spool.append(CHUNK, Buffer.alloc(512), 0)
    assert.equal(spool.used, CHUNK)
  })

  test('is let go exactly where it is told to', () => {
    const spool = new Spool(4 * CHUNK, null)
    spool.append(0, Buffer.alloc(3 * CHUNK), 0)
    spool.release(CHUNK, CHUNK)
    assert.equal(spool.used, 2 * CHUNK)
    assert.equal(spool.available(0, 3 * CHUNK), CHUNK)
    assert.equal(spool.available(2 * CHUNK, CHUNK), CHUNK)
  })

  test('finds what begins inside of a run, at its end and behind it', () => {
    const spool = new Spool(8 * CHUNK, null)
    const file = randomBytes(8 * 4096)
    for (let index = 0; index < 8; index += 2)
      spool.append(index * 4096, file.subarray(index * 4096, (index + 1) * 4096), 0)
    for (let index = 0; index < 8; index += 2) {
      const start = index * 4096
      assert.equal(spool.available(start, 4096), 4096)
      assert.equal(spool.available(start + 4095, 4096), 1)
      assert.equal(spool.available(start + 4096, 1), 0)
      assert.equal(spool.available(start, 9999), 4096)
      assert.ok(spool.read(start + 100, 50).equals(file.subarray(start + 100, start + 150)))
    }
  })
})

describe('a spool with a store', () => {
  test('tells it 4 MiB before RAM is full, and puts what does not fit', () => {
    const { store, asked, moveAway } = storeOf(2)
    const spool = new Spool(6 * CHUNK, store)
    const file = randomBytes(9 * CHUNK)
    const append = (chunk: number) =>
      spool.append(chunk * CHUNK, file.subarray(chunk * CHUNK, (chunk + 1) * CHUNK), 0)
    append(0)
    append(1)
    append(2)
    assert.deepEqual(asked, [])
    append(3)
    assert.deepEqual(asked, ['announce'])
    for (const chunk of [4, 5]) append(chunk)
    assert.deepEqual([spool.used, asked.filter((each) => each !== 'announce')], [6 * CHUNK, []])
    for (const chunk of [6, 7]) append(chunk)
    assert.deepEqual(
      [spool.used, asked.filter((each) => each !== 'announce')],
      [6 * CHUNK, ['put 0', 'put 1']],
    )
    const full = /neither the 6291456 bytes of memory for holding data nor the free part of the disk suffice/
    assert.throws(() => append(8), says('RAM', full))

    asked.length = 0
    assert.ok(spool.read(0, 8 * CHUNK).equals(file.subarray(0, 8 * CHUNK)))
    assert.deepEqual(asked, ['get 0', 'get 1'])
    assert.ok(spool.read(6 * CHUNK + 9, 5).equals(file.subarray(6 * CHUNK + 9, 6 * CHUNK + 14)))
    assert.equal(asked.length, 2, 'the chunk that was read last is not fetched again')
    spool.release(0, CHUNK)
    assert.equal(spool.used, 5 * CHUNK)
    moveAway(1)
    assert.equal(spool.used, 6 * CHUNK)
    assert.ok(spool.read(CHUNK, 7 * CHUNK).equals(file.subarray(CHUNK, 8 * CHUNK)))
    spool.clear()
    assert.equal(spool.used, 0)
  })

  test('is told what to drop when all is let go', () => {
    const { store, asked } = storeOf(5)
    const spool = new Spool(CHUNK, store)
    spool.append(0, Buffer.alloc(3 * CHUNK), 0)
    spool.clear()
    assert.deepEqual(
      asked.filter((each) => each !== 'announce'),
      ['put 0', 'put 1', 'drop 0', 'drop 1'],
    )
  })

  test('counts what else takes memory', () => {
    const { store, asked } = storeOf(5)
    const spool = new Spool(6 * CHUNK, store)
    spool.append(0, Buffer.alloc(CHUNK), 2 * CHUNK)
    assert.deepEqual(asked, [])
    spool.append(CHUNK, Buffer.alloc(CHUNK), 2 * CHUNK)
    assert.deepEqual(asked, ['announce'])
    spool.append(2 * CHUNK, Buffer.alloc(CHUNK), 4 * CHUNK)
    assert.deepEqual(asked.slice(-1), ['put 0'])
  })
})

describe('the look-behind', () => {
  const kept = (window: LookBehind, floor: number) => {
    const stretches: [number, number][] = []
    window.raise(floor, (start, length) => stretches.push([start, length]))
    return stretches
  }

  test('knows whole sectors only', () => {
    const window = new LookBehind(8 * 512)
    window.mark(1, 1024)
    window.mark(2048, 2048 + 1023)
    assert.deepEqual(kept(window, 4096), [
      [0, 512],
      [1024, 1024],
      [2560, 1536],
    ])
    assert.equal(window.floor, 4096)
  })

  test('does not go back, and hears nothing of what was let go', () => {
    const window = new LookBehind(8 * 512)
    assert.deepEqual(kept(window, 2048), [[0, 2048]])
    assert.deepEqual(kept(window, 1024), [])
    assert.equal(window.floor, 2048)
    window.mark(0, 2560)
    window.markExtent({ source: 100, length: 900, disk: 0, size: 4096, codec: 'deflate' })
    assert.deepEqual(kept(window, 4096), [[2560, 1536]])
    assert.deepEqual(kept(window, 8192), [[4096, 4096]])
  })

  test('remembers as many bytes as it was told, and one sector more', () => {
    const window = new LookBehind(4 * 512)
    window.mark(4 * 512, 5 * 512)
    assert.deepEqual(kept(window, 5 * 512), [[0, 2048]])
    const odd = new LookBehind(4 * 512 + 1)
    odd.mark(5 * 512, 6 * 512)
    assert.deepEqual(kept(odd, 6 * 512), [[0, 2560]])
  })

  for (const codec of ['deflate', 'zlib', 'zstd'] as const)
    test(`takes the first and the last sector of ${codec} for shared, unless it begins with its sector`, () => {
      const window = new LookBehind(16 * 512)
      const extent = (source: number, length: number) =>
        window.markExtent({ source, length, disk: 0, size: 4096, codec })
      extent(1024, 1024)
      extent(4096 + 1, 1023)
      extent(5120 + 5, 10)
      extent(1536 + 5, 1019)
      assert.deepEqual(kept(window, 8192), [
        [0, 1024],
        [2048, 6144],
      ])
    })
})

describe('a raw image', () => {
  test('comes in pieces of whole 64 KiB, and the rest at its end', () => {
    const decoder = new RawDecoder({ size: 200_000, diskSize: 200_192 })
    assert.equal(decoder.virtualSize, 200_192)
    assert.deepEqual(decoder.push(Buffer.alloc(65_535), 0), { extents: [], held: [] })
    assert.equal(decoder.needsFrom, 0)
    const copy = (source: number, length: number) => ({
      source,
      disk: source,
      length,
      size: length,
      codec: 'copy',
    })
    assert.deepEqual(decoder.push(Buffer.alloc(1), 65_535).extents, [copy(0, 65_536)])
    assert.equal(decoder.needsFrom, 65_536)
    assert.deepEqual(decoder.push(Buffer.alloc(134_464, 7), 65_536).extents, [copy(65_536, 131_072)])
    assert.equal(decoder.needsFrom, 196_608)
    const { extents, held } = decoder.finish(200_000)
    assert.deepEqual(extents, [copy(196_608, 3072)])
    assert.deepEqual(
      held.map((each) => [each.extent, Buffer.from(each.take())]),
      [[copy(199_680, 512), Buffer.concat([Buffer.alloc(320, 7)], 512)]],
    )
    assert.equal(decoder.needsFrom, 200_000)
    assert.deepEqual(decoder.notes, [
      'The image ends 320 bytes into a sector; the rest of the sector is zero.',
    ])
  })

  test('that ends with a sector holds nothing back', () => {
    const decoder = new RawDecoder()
    decoder.push(Buffer.alloc(65_536), 0)
    assert.deepEqual(decoder.finish(65_536), { extents: [], held: [] })
    assert.deepEqual(decoder.notes, [])
  })

  test('is told of gaps, of another length, and of a disk that is a sector too small', () => {
    const decoder = new RawDecoder({ size: 1000, diskSize: 1024 })
    assert.throws(() => decoder.push(Buffer.alloc(1), 1), RangeError)
    decoder.push(Buffer.alloc(999), 0)
    assert.throws(() => decoder.finish(1000), RangeError)
    assert.throws(() => decoder.finish(999), says('FORMAT', /cut off: 999 of 1000 bytes came/))
    assert.throws(
      () => new RawDecoder({ size: 1025, diskSize: 1535 }),
      says('DISK', /at least 1025 bytes, but the disk has 1535/),
    )
    assert.equal(new RawDecoder({ size: 1025, diskSize: 1536 }).virtualSize, 1536)
    assert.throws(() => new RawDecoder({ size: 0 }), says('FORMAT', /served file is empty/))
  })

  test('is read inside its whole sectors only', async () => {
    const file = randomBytes(700)
    const view = openRawView(sourceOf(file))
    assert.equal((await view.read(1024, 0)).length, 0)
    assert.ok(Buffer.concat([file.subarray(699), Buffer.alloc(1)]).equals(await view.read(699, 2)))
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [1024, 1],
      [1023, 2],
    ] as const)
      await assert.rejects(view.read(offset, length), RangeError)
    assert.throws(() => openRawView({ ...sourceOf(file), size: undefined }), TypeError)
  })
})
