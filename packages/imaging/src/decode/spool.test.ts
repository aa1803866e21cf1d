import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { Spool } from './spool.ts'

const CHUNK = 256 * 1024
const joined = (pieces: Uint8Array[]) => Buffer.concat(pieces)

const fails = (error: unknown) =>
  error instanceof ImagingError && error.code === 'RAM' && /Range/.test(error.remedy)

describe('the spool', () => {
  test('gives back what was put in, up to the first gap', () => {
    const spool = new Spool(4 * CHUNK)
    const file = randomBytes(3 * CHUNK)
    spool.append(1024, file.subarray(1024, CHUNK), 0)
    spool.append(CHUNK, file.subarray(CHUNK, 2 * CHUNK), 0)
    spool.append(2 * CHUNK + 512, file.subarray(2 * CHUNK + 512, 3 * CHUNK), 0)
    assert.ok(joined(spool.pieces(1024, CHUNK)).equals(file.subarray(1024, 1024 + CHUNK)))
    assert.ok(joined(spool.pieces(1500, 3 * CHUNK)).equals(file.subarray(1500, 2 * CHUNK)))
    assert.deepEqual(spool.pieces(0, 512), [])
    assert.deepEqual(spool.pieces(2 * CHUNK, 512), [])
    assert.equal(joined(spool.pieces(3 * CHUNK - 5, 100)).length, 5)
  })

  test('frees memory as soon as all of a chunk has found its place, and only then', () => {
    const spool = new Spool(2 * CHUNK)
    for (let round = 0; round < 20; round++) {
      spool.append(round * CHUNK, randomBytes(CHUNK), 0)
      assert.ok(spool.used <= 2 * CHUNK)
      spool.release(round * CHUNK, CHUNK - 512)
      assert.equal(spool.pieces(round * CHUNK, CHUNK).length, 1)
      spool.release(round * CHUNK, CHUNK - 512)
      spool.release(round * CHUNK + CHUNK - 512, 512)
    }
    spool.clear()
    assert.equal(spool.used, 0)
  })

  test('ends as RAM when the limit, less what else counts against it, is reached', () => {
    const spool = new Spool(2 * CHUNK)
    spool.append(0, Buffer.alloc(CHUNK), CHUNK)
    assert.throws(() => spool.append(CHUNK, Buffer.alloc(512), 1), fails)
    spool.append(CHUNK, Buffer.alloc(CHUNK), 0)
    assert.throws(() => spool.append(2 * CHUNK, Buffer.alloc(512), 0), fails)
  })
})
