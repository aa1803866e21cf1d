import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { CHUNK, type ChunkStore, Spool } from './spool.ts'

const fails = (error: unknown) =>
  error instanceof ImagingError && error.code === 'RAM' && /Range/.test(error.remedy)

/** Room for `size` chunks, in RAM. `moveAll` takes every place for something else. */
function storeOf(size: number): ChunkStore & { places: Map<number, Buffer>; moveAll(): void } {
  const places = new Map<number, Buffer>()
  const movers = new Map<number, (bytes: Buffer) => void>()
  let next = 0
  return {
    places,
    announce() {},
    put(bytes, moveAway) {
      if (places.size === size) return null
      places.set(next, Buffer.from(bytes))
      movers.set(next, moveAway)
      return next++
    },
    get: (place) => places.get(place) ?? assert.fail(`nothing is in place ${place}`),
    drop(place) {
      assert.ok(places.delete(place), `place ${place} is dropped twice`)
      movers.delete(place)
    },
    moveAll() {
      const all = [...places] // what moves is put back into it
      for (const [place, bytes] of all) {
        const moveAway = movers.get(place)
        this.drop(place)
        moveAway?.(bytes)
      }
    },
  }
}

describe('the spool', () => {
  test('gives back what was put in, up to the first gap', () => {
    const spool = new Spool(4 * CHUNK, null)
    const file = randomBytes(3 * CHUNK)
    spool.append(1024, file.subarray(1024, CHUNK), 0)
    spool.append(CHUNK, file.subarray(CHUNK, 2 * CHUNK), 0)
    spool.append(2 * CHUNK + 512, file.subarray(2 * CHUNK + 512, 3 * CHUNK), 0)
    assert.ok(spool.read(1024, CHUNK).equals(file.subarray(1024, 1024 + CHUNK)))
    assert.equal(spool.available(1500, 3 * CHUNK), 2 * CHUNK - 1500)
    assert.ok(spool.read(1500, 3 * CHUNK).equals(file.subarray(1500, 2 * CHUNK)))
    assert.equal(spool.available(0, 512), 0)
    assert.equal(spool.read(2 * CHUNK, 512).length, 0)
    assert.equal(spool.read(3 * CHUNK - 5, 100).length, 5)
  })

  test('frees memory as soon as all of a chunk has found its place, and only then', () => {
    const spool = new Spool(2 * CHUNK, null)
    for (let round = 0; round < 20; round++) {
      spool.append(round * CHUNK, randomBytes(CHUNK), 0)
      assert.ok(spool.used <= 2 * CHUNK)
      spool.release(round * CHUNK, CHUNK - 512)
      assert.equal(spool.available(round * CHUNK, CHUNK), CHUNK)
      spool.release(round * CHUNK, CHUNK - 512)
      spool.release(round * CHUNK + CHUNK - 512, 512)
    }
    spool.clear()
    assert.equal(spool.used, 0)
  })

  test('ends as RAM when the limit, less what else counts against it, is reached', () => {
    const spool = new Spool(2 * CHUNK, null)
    spool.append(0, Buffer.alloc(CHUNK), CHUNK)
    assert.throws(() => spool.append(CHUNK, Buffer.alloc(512), 1 + CHUNK), fails)
    spool.append(CHUNK, Buffer.alloc(CHUNK), 0)
    assert.throws(() => spool.append(2 * CHUNK, Buffer.alloc(512), 0), fails)
  })

  test('keeps in the store what memory has no room for, and lets go of it there', () => {
    const store = storeOf(6)
    const spool = new Spool(2 * CHUNK, store)
    const file = randomBytes(8 * CHUNK)
    for (let at = 0; at < file.length; at += 1024 * 300)
      spool.append(at, file.subarray(at, at + 1024 * 300), 0)
    assert.ok(spool.used <= 2 * CHUNK)
    assert.ok(store.places.size >= 6)
    store.moveAll()
    assert.ok(spool.read(0, file.length).equals(file))
    assert.throws(() => spool.append(file.length, Buffer.alloc(512), 0), fails)
    spool.release(0, file.length)
    assert.equal(store.places.size, 0)
    spool.clear()
    assert.equal(spool.used, 0)
  })

  test('takes into memory again what must leave the store, while there is room', () => {
    const store = storeOf(2)
    const spool = new Spool(2 * CHUNK, store)
    const file = randomBytes(4 * CHUNK)
    spool.append(0, file, 0)
    spool.release(0, CHUNK)
    store.moveAll()
    assert.equal(store.places.size + spool.used / CHUNK, 3)
    assert.ok(spool.read(CHUNK, 3 * CHUNK).equals(file.subarray(CHUNK)))
  })
})
