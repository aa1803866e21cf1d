import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertDisk,
  assertFailure,
  deploy,
  image,
  rightSum,
  sha256,
  staged,
  type StageHandler,
  stageOf,
} from './testing/deploying.ts'
import { MIB } from './testing/fetching.ts'
import {
  breakOff,
  type Cut,
  fileHandler,
  type Handler,
  head,
  scriptedServer,
} from './testing/scripted-server.ts'
import { SimulatedTime } from './testing/simulated-time.ts'

const HALF = Math.floor(image.length / 2)
const LAST = image.length - 1
const tooOften = /^The download had to begin again too often; the last time: .*/

for (const [how, at, chunked] of [
  ['end', 0, false],
  ['reset', MIB, false],
  ['end', HALF, true],
  ['end', LAST, false],
] as const) {
  test(`I4.39 a ${chunked ? 'chunked body' : 'body'} cut by ${how} at ${at}: resumed, one digest, complete`, async () => {
    const sent: [first: number, length: number][] = []
    const onBody = (first: number, length: number): void => void sent.push([first, length])
    await using server = await scriptedServer(staged({}, { chunked, cut: { how, at }, onBody }))
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertDisk(ended, 'complete')
    assert.deepEqual([ended.result?.bytesServed, ended.result?.checkSum], [image.length, rightSum.value])
    assert.deepEqual(server.requests.map(stageOf), [
      'open',
      'look',
      'look',
      'look',
      'whole',
      at > 0 ? 'resume' : 'whole',
    ])
    // A reset discards what had arrived but was not read yet.
    if (how === 'end')
      assert.deepEqual(sent.slice(4), [
        [0, at],
        [at, image.length - at],
      ])
  })
}

const CANNOT_RESUME: [what: string, file: Parameters<typeof fileHandler>[1]][] = [
  ['without ranges', { ranges: false }],
  ['with a weak ETag', { etag: 'W/"v1"' }],
  ['without a validator', { etag: null }],
  ['in chunks without ranges', { ranges: false, chunked: true }],
]

for (const [index, [what, file]] of CANNOT_RESUME.entries()) {
  const at = [MIB, HALF, LAST, MIB + 1][index] ?? 0
  test(`I4.39, I4.45 a server ${what} that always ends at ${at}: three starts, then DOWNLOAD`, async () => {
    const cutAlways: StageHandler = (request, socket, number) =>
      fileHandler(image, { ...file, cut: { how: 'end', at } })(request, socket, number)
    await using server = await scriptedServer(staged({ open: fileHandler(image, file), whole: cutAlways }))
    const ended = await deploy(server.origin)
    assertFailure(ended, 'DOWNLOAD', tooOften, 'unbootable')
    assert.match(ended.error?.cause ?? '', /cannot go on where it stopped\.$/)
    assert.deepEqual(server.requests.map(stageOf), ['open', 'whole', 'open', 'whole', 'open', 'whole'])
  })
}

for (const [what, file] of CANNOT_RESUME.slice(0, 2)) {
  test(`I4.39, I4.45 a server ${what} that ends at half once: taken from the start again`, async () => {
    await using server = await scriptedServer(fileHandler(image, { ...file, cut: { how: 'end', at: HALF } }))
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertDisk(ended, 'complete')
    assert.deepEqual(server.requests.map(stageOf), ['open', 'whole', 'open', 'whole'])
  })
}

test('I4.39 a server without ranges that always ends at 0: asked for a quarter of an hour, D0', async () => {
  const cutAlways: StageHandler = (request, socket, number) =>
    fileHandler(image, { ranges: false, cut: { how: 'end', at: 0 } })(request, socket, number)
  await using server = await scriptedServer(
    staged({ open: fileHandler(image, { ranges: false }), whole: cutAlways }),
  )
  using time = new SimulatedTime()
  const ended = await deploy(server.origin)
  assertFailure(ended, 'DOWNLOAD', /closed the connection before the end/, 'untouched')
  assert.ok(time.passed < 900_000)
})

/** Answers of HTTP/1.0 kind: the body ends where the connection does. */
const untilClose =
  (length: number, how: Cut = 'end'): Handler =>
  (_, socket) => {
    socket.write(head(200))
    return breakOff(socket, image.subarray(0, length), how)
  }

for (const [length, code, cause, disk] of [
  [0, 'DOWNLOAD', /empty file/, 'untouched'],
  [MIB, 'SUM', /./, 'unbootable'],
  [HALF, 'SUM', /./, 'unbootable'],
  [LAST, 'SUM', /./, 'unbootable'],
] as const) {
  test(`I4.41 neither length nor chunks, ended after ${length} bytes, with a checksum`, async () => {
    await using server = await scriptedServer(untilClose(length))
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertFailure(ended, code, cause, disk)
    if (code === 'SUM') {
      const { got, expected } = ended.error ?? {}
      assert.deepEqual([got, expected], [sha256(image.subarray(0, length)), rightSum.value])
    }
  })
}

test('I4.41 neither length nor chunks, reset after 1 MiB, with a checksum', async () => {
  await using server = await scriptedServer(untilClose(MIB, 'reset'))
  const ended = await deploy(server.origin, { checkSum: rightSum })
  // What had arrived is not always read before the reset: then nothing came, and that is tried for longer.
  assertFailure(ended, 'DOWNLOAD', tooOften, ended.error?.disk === 'untouched' ? 'untouched' : 'unbootable')
})

for (const length of [0, HALF, image.length]) {
  test(`I4.41 neither length nor chunks, ${length} bytes, without a checksum: refused at the start`, async () => {
    await using server = await scriptedServer(untilClose(length))
    assertFailure(await deploy(server.origin), 'DOWNLOAD', /neither how long the image is/, 'untouched')
  })
}

test('A cancel while the disk is being opened, with a stream that waits for it: what is told of the disk is true', async () => {
  await using server = await scriptedServer(fileHandler(image, { ranges: false }))
  const stop = new AbortController()
  const onLog = (line: string): void => {
    if (line.startsWith('Writing to ')) stop.abort()
  }
  const ended = await deploy(server.origin, { checkSum: rightSum }, { onLog, signal: stop.signal })
  assertFailure(ended, 'CANCELLED', /cancelled/, 'unbootable')
})
