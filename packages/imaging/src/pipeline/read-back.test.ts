import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ImagingError } from '../error.ts'
import { DiskWriter } from './disk-writer.ts'
import { readBack } from './read-back.ts'
import { pages, sharedPages } from './ring.ts'
import { REGION, shareWritten, WrittenMap } from './written-map.ts'

const SIZE = 4 * REGION
const AT = 2 * REGION - 70_000

/** Writes data over the end of a region, lets `spoil` change the file, and reads it back. */
async function writeSpoilRead(spoil: (fd: number) => void): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'byoi-read-back-'))
  const fd = openSync(join(folder, 'disk'), 'w+')
  try {
    ftruncateSync(fd, SIZE)
    const written = shareWritten(SIZE)
    const withheld = {
      withheldHead: new SharedArrayBuffer(1 << 20),
      withheldTail: new SharedArrayBuffer(1 << 20),
    }
    const writer = new DiskWriter({
      ring: { memory: sharedPages(65536) },
      written,
      ...withheld,
      diskSize: SIZE,
    })
    const channel = { fd, alignment: 1, path: 'disk' }
    assert.equal(writer.write([channel], AT, randomBytes(200_000), SIZE), 200_000)
    spoil(fd)
    return readBack(channel, new WrittenMap(written), 0, 4, SIZE, pages(REGION))
  } finally {
    closeSync(fd)
    await rm(folder, { recursive: true })
  }
}

test('what was written is read back, in whole blocks', async () => {
  assert.equal(await writeSpoilRead(() => undefined), 4 * 65536)
})

const faults: Record<string, (fd: number) => void> = {
  'a few changed bytes': (fd) => writeSync(fd, 'spoiled', AT + 100_000),
  'a block that never arrived': (fd) => writeSync(fd, Buffer.alloc(65536), 0, 65536, 2 * REGION),
  'old data beside the data, in its block': (fd) => writeSync(fd, Buffer.from([1]), 0, 1, AT - 1),
  'a disk that ends early': (fd) => ftruncateSync(fd, 2 * REGION + 1000),
}

for (const [name, spoil] of Object.entries(faults)) {
  test(`${name} is a failed write`, async () => {
    await assert.rejects(
      writeSpoilRead(spoil),
      (error) => error instanceof ImagingError && error.code === 'WRITE',
    )
  })
}
