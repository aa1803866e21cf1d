import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { CHUNK } from '../decode/spool.ts'
import { scratch, usedDisk } from '../deploy-image.fixture.ts'
import { Disk } from '../disk/disk.ts'
import { inspectDisk } from '../disk/inspect-disk.ts'
import { SpoolOnDisk } from './spool-on-disk.ts'

const SIZE = 8 * CHUNK + 4096

/** A file of zeros, of which only the first and the last MiB are 0xFF. */
async function diskOf(folder: string): Promise<Disk> {
  const path = await usedDisk(join(folder, 'disk'), SIZE)
  const disk = await Disk.open({ ...(await inspectDisk({ path })), size: SIZE }, SIZE)
  await disk.write(CHUNK, Buffer.alloc(SIZE - 2 * CHUNK))
  return disk
}

const never = () => assert.fail('nothing needs this place')

test('chunks wait anywhere but in the boot areas, and nothing of them is left', async () => {
  await using folder = await scratch()
  const disk = await diskOf(folder.path)
  try {
    const spool = new SpoolOnDisk(disk, true)
    const chunks = Array.from({ length: 6 }, () => randomBytes(CHUNK))
    const places = chunks.map((chunk) => spool.put(chunk, never))
    assert.deepEqual(
      places.toSorted((a, b) => Number(a) - Number(b)),
      [1, 2, 3, 4, 5, 6],
    )
    assert.equal(spool.put(randomBytes(CHUNK), never), null)
    places.forEach((place, index) => assert.ok(spool.get(place as number).equals(chunks[index] as Buffer)))
    spool.drop(3)
    assert.equal(spool.put(chunks[0] as Buffer, never), 3)
    await spool.wipe()
    const bytes = await disk.read(0, SIZE)
    const isFull = (from: number, to: number) => bytes.subarray(from, to).every((byte) => byte === 0xff)
    assert.ok(isFull(0, CHUNK) && isFull(SIZE - CHUNK, SIZE), 'a boot area was written to')
    assert.ok(bytes.subarray(CHUNK, SIZE - CHUNK).every((byte) => byte === 0))
  } finally {
    await disk.close()
  }
})

test('what waits where the image writes moves away, and the place reads zero before', async () => {
  await using folder = await scratch()
  const disk = await diskOf(folder.path)
  try {
    const spool = new SpoolOnDisk(disk, true)
    const chunks = [randomBytes(CHUNK), randomBytes(CHUNK)]
    const moved: { bytes: Buffer; place: number | null }[] = []
    const moveAway = (bytes: Buffer) => moved.push({ bytes, place: spool.put(bytes, moveAway) })
    const places = chunks.map((chunk) => spool.put(chunk, moveAway) as number)
    assert.deepEqual(places, [6, 5])
    spool.claim(5 * CHUNK + 1000, CHUNK)
    assert.deepEqual(
      moved.map(({ place }) => place),
      [4, 3],
    )
    moved.forEach(({ bytes, place }) => assert.ok(spool.get(place as number).equals(bytes)))
    assert.ok((await disk.read(5 * CHUNK, 2 * CHUNK)).every((byte) => byte === 0))
    await disk.write(5 * CHUNK, Buffer.alloc(CHUNK, 'image'))
    spool.claim(5 * CHUNK, 512) // once more: what the image wrote stays
    assert.ok((await disk.read(5 * CHUNK, CHUNK)).equals(Buffer.alloc(CHUNK, 'image')))
  } finally {
    await disk.close()
  }
})

test('nothing waits on a disk whose old content has not gone yet', async () => {
  await using folder = await scratch()
  const disk = await diskOf(folder.path)
  try {
    const spool = new SpoolOnDisk(disk, false)
    assert.equal(spool.put(randomBytes(CHUNK), never), null)
    spool.announce()
    assert.ok(spool.isWanted)
    spool.ready()
    assert.ok(!spool.isWanted)
    assert.equal(spool.put(randomBytes(CHUNK), never), 6)
  } finally {
    await disk.close()
  }
})
