import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { lacks } from '../deploy-image.fixture.ts'
import { ImagingError, type ImagingCode } from '../error.ts'
import type { ByteSink, ImageSource } from '../source/source.ts'
import { packedFile, unpacking } from './packed-source.ts'

const MiB = 1024 * 1024
const options = { checkSumType: 'sha256', ramBytes: 64 * MiB, largest: () => 64 * MiB } as const
const skip = lacks('gzip', 'zstd', 'xz', 'bzip2')

interface Serving {
  ranged?: boolean
  piece?: number
  /** Byte at which the line breaks. */
  failAt?: number
}

/** Serves `file` in pieces, as a source that can be read at will or not. */
function sourceOf(file: Buffer, { ranged = true, piece = 65_537, failAt = Infinity }: Serving): ImageSource {
  return {
    shownUrl: 'test',
    size: file.length,
    ranged,
    readAt: async (offset, into) => into.set(file.subarray(offset, offset + into.length)),
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
  length = 0
  reserve(): Uint8Array | Promise<Uint8Array> {
    return this.#memory
  }
  commit(length: number): void {
    this.#parts.push(Buffer.from(this.#memory.subarray(0, length)))
    this.length += length
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

async function unpack(file: Buffer, how: Serving = {}, more: Partial<typeof options> = {}) {
  const source = await unpacking(sourceOf(file, how), { ...options, ...more })
  const sink = new Collected()
  const total = await source.stream(sink)
  assert.equal(total, sink.bytes.length)
  return { packed: packedFile(source), bytes: sink.bytes }
}

const refusedAs =
  (...codes: ImagingCode[]) =>
  (error: unknown): boolean =>
    error instanceof ImagingError && codes.includes(error.code)

/** Random, zero, repeating, and with runs of every length around bzip2's four. */
const content = Buffer.concat([
  randomBytes(90_000),
  Buffer.alloc(1_500_000),
  Buffer.alloc(50_000, 'some text '),
  ...Array.from({ length: 300 }, (_, length) => Buffer.alloc(length, length)),
  randomBytes(5),
])

/** As people pack: with the programs of these names. */
const packWith = (command: string, input: Buffer): Buffer => {
  const [program = '', ...args] = command.split(' ')
  return execFileSync(program, [...args, '-c'], { input, maxBuffer: 64 * MiB })
}

/** The command, and what else it may say where its file is cut or changed in its header. */
const commands: { command: string; checked?: boolean }[] = [
  { command: 'gzip -9' },
  { command: 'zstd -3' },
  { command: 'zstd -19 --no-check', checked: false },
  { command: 'xz -6' },
  { command: 'xz -0 -T2 --block-size=100000 --check=crc32' },
  { command: 'xz --check=none', checked: false },
  { command: 'bzip2 -9' },
  { command: 'bzip2 -1' },
]

for (const { command, checked = true } of commands) {
  describe(`a file by ${command}`, { skip }, () => {
    const file = skip ? Buffer.alloc(0) : packWith(command, content)

    for (const [ranged, piece] of [
      [true, MiB],
      [true, 4099],
      [false, MiB],
      [false, 61],
    ] as const) {
      test(`comes as what was packed, ${ranged ? 'ranged' : 'streamed'}, in pieces of ${piece}`, async () => {
        const { packed, bytes } = await unpack(file, { ranged, piece })
        assert.ok(bytes.equals(content))
        assert.equal(packed?.digest(), createHash('sha256').update(file).digest('hex'))
        assert.deepEqual([packed.received, packed.fileSize], [file.length, file.length])
      })
    }

    test('twice, one after the other, is both', async () => {
      for (const piece of [MiB, 4099, file.length]) {
        const { bytes } = await unpack(Buffer.concat([file, file]), { piece })
        assert.ok(bytes.equals(Buffer.concat([content, content])))
      }
    })

    test('of nothing is nothing, and may stand between others', async () => {
      const nothing = packWith(command, Buffer.alloc(0))
      assert.ok(
        (await unpack(Buffer.concat([file, nothing, file]))).bytes.equals(Buffer.concat([content, content])),
      )
    })

    test('is refused wherever it is cut', async () => {
      const places = [
        11,
        12,
        13,
        30,
        file.length >> 1,
        ...[21, 13, 12, 9, 8, 5, 4, 1].map((it) => file.length - it),
      ]
      for (const at of places)
        await assert.rejects(unpack(file.subarray(0, at)), refusedAs('WRITE'), `cut at ${at}`)
    })

    test('is refused with something else behind it', async () => {
      const behind = [
        'g',
        'garbage',
        '\0',
        '\0\0\0\0x',
        '\0\0\0\0\0',
        '\0'.repeat(20_000) + 'x',
        'BZh9',
        '\xfd7zXZ\0',
      ]
      for (const what of behind) {
        const spoilt = Buffer.concat([file, Buffer.from(what, 'latin1')])
        await assert.rejects(unpack(spoilt), refusedAs('WRITE'), JSON.stringify(what.slice(0, 9)))
        await assert.rejects(unpack(spoilt, { piece: file.length }), refusedAs('WRITE'))
      }
      for (const length of [1, 5, 20])
        await assert.rejects(unpack(Buffer.concat([file, file.subarray(0, length)])), refusedAs('WRITE'))
    })

    test('is refused with one wrong bit', { skip: !checked && 'has no checksum' }, async () => {
      for (let number = 0; number < 12; number++) {
        const spoilt = Buffer.from(file)
        const at = 20 + Math.floor(((file.length - 24) * number) / 11)
        spoilt[at] = (spoilt[at] as number) ^ (1 << (number % 8))
        await assert.rejects(
          unpack(spoilt),
          refusedAs('WRITE', 'FORMAT', 'RAM'),
          `bit ${number % 8} of byte ${at}`,
        )
      }
    })

    test('ends in what the source says when the line breaks', async () => {
      for (const failAt of [0, 20, 70_000])
        await assert.rejects(unpack(file, { failAt, piece: 1000 }), refusedAs('DOWNLOAD'))
    })

    test('ends in what the sink says when that gives up, at once or while it waits', async () => {
      for (const after of [0, 1, MiB]) {
        const sink = new Collected()
        const gaveUp = new ImagingError('CANCELLED', { cause: 'Enough.', remedy: 'None.' })
        const reserve = sink.reserve.bind(sink)
        sink.reserve = async () => {
          if (sink.length < after) return reserve()
          await new Promise(setImmediate)
          throw gaveUp
        }
        const source = await unpacking(sourceOf(file, {}), options)
        await assert.rejects(source.stream(sink), gaveUp)
      }
    })
  })
}

describe('a bomb', { skip }, () => {
  for (const command of ['gzip -9', 'zstd -3', 'xz -6', 'bzip2 -9']) {
    test(`by ${command.split(' ')[0]} is refused soon, in little memory`, async () => {
      const part = packWith(command, Buffer.alloc(64 * MiB))
      const file = Buffer.concat(Array.from({ length: 40 }, () => part))
      const before = process.memoryUsage.rss()
      await assert.rejects(unpack(file, {}, { largest: () => 16 * MiB }), refusedAs('DISK'))
      assert.ok(process.memoryUsage.rss() - before < 64 * MiB)
    })
  }
})

describe('a packed file that asks for too much or for what is not known', { skip }, () => {
  const rows: [command: string, ramBytes: number, code: ImagingCode, says: RegExp][] = [
    ['zstd --long=27', 8 * MiB, 'RAM', /zstd file .* needs a large window/],
    ['xz -9', 8 * MiB, 'RAM', /dictionary of 67108864 bytes/],
    ['xz --lzma2=dict=65MiB', 256 * MiB, 'RAM', /dictionary of \d+ bytes/],
    ['xz --check=sha256', 64 * MiB, 'FORMAT', /kind of integrity check/],
    ['xz --x86 --lzma2', 64 * MiB, 'FORMAT', /filter besides LZMA2/],
  ]
  for (const [command, ramBytes, code, says] of rows) {
    test(`by ${command} is refused as ${code}`, async () => {
      await assert.rejects(
        unpack(packWith(command, Buffer.alloc(20 * MiB, 'x')), {}, { ramBytes }),
        (error) => {
          assert.ok(error instanceof ImagingError)
          assert.equal(error.code, code)
          assert.match(error.cause, says)
          return true
        },
      )
    })
  }
})

test('xz streams may have padding between and behind them, in units of four bytes', { skip }, async () => {
  const file = skip ? Buffer.alloc(0) : packWith('xz', content)
  const padding = Buffer.alloc(8)
  const { bytes } = await unpack(Buffer.concat([file, padding, file, padding]), { piece: 4099 })
  assert.ok(bytes.equals(Buffer.concat([content, content])))
})

describe('a file that is not packed', () => {
  test('stays the source that it is where it can be read at will', async () => {
    const source = sourceOf(content, {})
    assert.equal(await unpacking(source, options), source)
  })

  for (const size of [1, 9, 10, 11, 4096, 100_000]) {
    test(`of ${size} bytes comes byte for byte from a stream`, async () => {
      const file = randomBytes(size)
      file[0] = 0
      const { packed, bytes } = await unpack(file, { ranged: false, piece: 3 })
      assert.ok(bytes.equals(file))
      assert.equal(packed, null)
    })
  }
})
