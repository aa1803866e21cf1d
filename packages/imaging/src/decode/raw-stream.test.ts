import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { ImagingError } from '../error.ts'
import { openRawView, RawDecoder } from './raw-stream.ts'
import { drive, sourceOf } from './test-images.ts'

const failsAs = (code: string) => (error: unknown) => error instanceof ImagingError && error.code === code

describe('a raw image', () => {
  for (const size of [1, 511, 512, 513, 65536, 200_001]) {
    for (const pieces of [1, 511, 65537, 1 << 20]) {
      test(`of ${size} bytes in pieces of ${pieces} comes byte for byte, padded to a sector`, () => {
        const file = randomBytes(size)
        const decoder = new RawDecoder({ size })
        const disk = drive(decoder, file, pieces)
        assert.equal(disk.length, Math.ceil(size / 512) * 512)
        assert.ok(disk.subarray(0, size).equals(file))
        assert.ok(disk.subarray(size).equals(Buffer.alloc(disk.length - size)))
        assert.equal(decoder.notes.length, size % 512 === 0 ? 0 : 1)
      })
    }
  }

  test('of unknown length ends where the stream ends', () => {
    const decoder = new RawDecoder()
    decoder.push(Buffer.alloc(700), 0)
    decoder.finish(700)
    assert.equal(decoder.virtualSize, 1024)
  })

  test('that is empty, cut off, or larger than the disk is refused', () => {
    assert.throws(() => new RawDecoder({ size: 0 }), failsAs('FORMAT'))
    assert.throws(() => new RawDecoder().finish(0), failsAs('FORMAT'))
    assert.throws(() => new RawDecoder({ size: 1025, diskSize: 1024 }), failsAs('DISK'))
    assert.throws(() => new RawDecoder({ diskSize: 1024 }).push(Buffer.alloc(1025), 0), failsAs('DISK'))
    const decoder = new RawDecoder({ size: 1024 })
    decoder.push(Buffer.alloc(512), 0)
    assert.throws(() => decoder.finish(512), failsAs('FORMAT'))
  })

  test('is read at any place, zero behind an odd end', async () => {
    const file = randomBytes(1500)
    const view = openRawView(sourceOf(file))
    assert.equal(view.virtualSize, 1536)
    assert.deepEqual(Buffer.from(await view.read(100, 9)), file.subarray(100, 109))
    assert.deepEqual(
      Buffer.from(await view.read(1499, 37)),
      Buffer.concat([file.subarray(1499), Buffer.alloc(36)]),
    )
    assert.deepEqual(Buffer.from(await view.read(1510, 26)), Buffer.alloc(26))
    await assert.rejects(view.read(1500, 37), RangeError)
  })
})
