import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ImagingError } from '../error.ts'
import type { ByteSink, ImageSource } from '../source/source.ts'
import { UnpackingSource, unpacking } from './packed-source.ts'

const MiB = 1024 * 1024
const options = { checkSumType: 'sha256', ramBytes: 8 * MiB, largest: () => 64 * MiB } as const
const skip = existsSync('/usr/bin/zstd') ? false : 'absent: zstd'

/** Serves `file` in pieces, as a source that can be read at will or not. */
function sourceOf(
  file: Buffer,
  { ranged = true, piece = 65_537, failAt = Number.POSITIVE_INFINITY } = {},
): ImageSource {
  return {
    shownUrl: 'test',
    size: file.length,
    ranged,
    readAt: async (offset, into) => void into.set(file.subarray(offset, offset + into.length)),
    stream: async (sink) => {
      for (let at = 0; at < file.length; ) {
        if (at >= failAt) throw new ImagingError('DOWNLOAD', { cause: 'The line broke.', remedy: 'Mend it.' })
        const memory = await sink.reserve()
        const length = Math.min(memory.length, piece, file.length - at)
        memory.set(file.subarray(at, at + length))
        sink.commit(length)
        at += length
      }
      return file.length
    },
    close: async () => {},
  }
}

class Collected implements ByteSink {
  readonly #memory = Buffer.alloc(70_001)
  readonly #parts: Buffer[] = []
  reserve = () => this.#memory
  commit(length: number): void {
    this.#parts.push(Buffer.from(this.#memory.subarray(0, length)))
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

async function unpack(
  file: Buffer,
  how: Parameters<typeof sourceOf>[1] = {},
  more: Partial<typeof options> = {},
) {
  const source = await unpacking(sourceOf(file, how), { ...options, ...more })
  const sink = new Collected()
  const total = await source.stream(sink)
  assert.equal(total, sink.bytes.length)
  return { source, bytes: sink.bytes }
}

let folder: string
const content = Buffer.concat([
  randomBytes(300_000),
  Buffer.alloc(3 * MiB),
  Buffer.alloc(200_000, 'text '),
  randomBytes(5),
])

/** As people pack: with the programs of these names. */
const pack = (program: string, ...args: string[]): Buffer => {
  const path = join(folder, 'content')
  writeFileSync(path, content)
  return execFileSync(program, [...args, '-c', path], { maxBuffer: 64 * MiB })
}

describe('a packed file', { skip }, () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'byoi-unpack-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  const packings = [
    { name: 'gzip', file: () => pack('gzip') },
    { name: 'gzip -9', file: () => pack('gzip', '-9') },
    { name: 'zstd', file: () => pack('zstd') },
    { name: 'zstd -19 --no-check', file: () => pack('zstd', '-19', '--no-check') },
  ]
  for (const { name, file } of packings) {
    for (const ranged of [true, false]) {
      for (const piece of [1, 4099, MiB]) {
        test(`by ${name} comes as what was packed, ${ranged ? 'ranged' : 'streamed'}, in pieces of ${piece}`, async () => {
          const packed = piece === 1 ? file().subarray(0) : file()
          const { source, bytes } = await unpack(packed, { ranged, piece: piece === 1 ? 7 : piece })
          assert.ok(bytes.equals(content))
          assert.ok(source instanceof UnpackingSource)
          assert.equal(source.digest(), createHash('sha256').update(packed).digest('hex'))
          assert.deepEqual(source.served, { received: packed.length, size: packed.length })
        })
      }
    }
    test(`by ${name} twice, one after the other, is both`, async () => {
      const { bytes } = await unpack(Buffer.concat([file(), file()]))
      assert.ok(bytes.equals(Buffer.concat([content, content])))
    })

    const spoil: { what: string; change: (file: Buffer) => Buffer; code: string }[] = [
      { what: 'is cut in its middle', change: (it) => it.subarray(0, it.length >> 1), code: 'WRITE' },
      { what: 'lacks its last byte', change: (it) => it.subarray(0, -1), code: 'WRITE' },
      {
        what: 'has something else behind it',
        change: (it) => Buffer.concat([it, Buffer.from('garbage')]),
        code: 'WRITE',
      },
      {
        what: 'has a second one behind it that is cut',
        change: (it) => Buffer.concat([it, it.subarray(0, 20)]),
        code: 'WRITE',
      },
    ]
    for (const { what, change, code } of spoil) {
      test(`by ${name} that ${what} is refused`, async () => {
        await assert.rejects(
          unpack(change(file())),
          (error) => error instanceof ImagingError && error.code === code,
        )
      })
    }
  }

  test('by gzip with one wrong bit is refused', async () => {
    const file = pack('gzip')
    file[file.length >> 1]! ^= 4
    await assert.rejects(unpack(file), (error) => error instanceof ImagingError && error.code === 'WRITE')
  })

  test('by zstd that needs a window of 128 MiB is refused for its memory', async () => {
    await assert.rejects(
      unpack(execFileSync('zstd', ['--long=27', '-c'], { input: Buffer.alloc(200 * MiB), maxBuffer: MiB })),
      (error) => error instanceof ImagingError && error.code === 'RAM',
    )
  })

  test('that holds more than any image for the disk is refused soon', async () => {
    const bomb = gzipSync(Buffer.alloc(80 * MiB))
    await assert.rejects(unpack(bomb), (error) => error instanceof ImagingError && error.code === 'DISK')
  })

  test('whose line breaks ends in what the source said', async () => {
    await assert.rejects(
      unpack(pack('gzip'), { failAt: 200_000 }),
      (error) => error instanceof ImagingError && error.code === 'DOWNLOAD',
    )
  })
})

describe('a file that is not packed', () => {
  test('stays the source that it is where it can be read at will', async () => {
    const source = sourceOf(content)
    assert.equal(await unpacking(source, options), source)
  })

  for (const size of [1, 5, 6, 7, 4096, 100_000]) {
    test(`of ${size} bytes comes byte for byte from a stream`, async () => {
      const file = randomBytes(size)
      file[0] = 0
      const { source, bytes } = await unpack(file, { ranged: false, piece: 3 })
      assert.ok(bytes.equals(file))
      assert.ok(source instanceof UnpackingSource && source.packing === null)
    })
  }
})
