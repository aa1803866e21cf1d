import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertDisk,
  assertFailure,
  deploy,
  firstOf,
  image,
  rightSum,
  staged,
  type StageHandler,
  stageOf,
} from './testing/deploying.ts'
import { fileHandler, type Handler, head, inChunks, scriptedServer } from './testing/scripted-server.ts'

const HALF = Math.floor(image.length / 2)
const LAST = image.length - 1
const tooOften = /^The download had to begin again too often; the last time: .*/
const whole = { ETag: '"v1"', 'Content-Length': image.length }

for (const chunked of [false, true]) {
  const framing = chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': image.length }
  const tooLong = Buffer.concat([
    Buffer.from(head(200, { ETag: '"v1"', ...framing })),
    chunked ? inChunks(image) : image,
    Buffer.from('surplus'),
  ])
  for (const checkSum of [rightSum, null]) {
    const title = `more bytes than the ${chunked ? 'chunks' : 'length'}, ${checkSum ? 'with' : 'without'} a checksum`
    test(`I4.40 ${title}`, async () => {
      await using server = await scriptedServer(staged({ whole: (_, socket) => void socket.end(tooLong) }))
      const ended = await deploy(server.origin, { checkSum })
      if (checkSum) assertDisk(ended, 'complete')
      else assertFailure(ended, 'DOWNLOAD', /sent more bytes than the length it declared/, 'unbootable')
    })
  }
}

const text =
  (start: string): Handler =>
  (_, socket) =>
    void socket.end(start)
const WHOLE: [title: string, answer: StageHandler, cause: RegExp, starts: number][] = [
  [
    'I4.42 length and chunks',
    text(head(200, { ...whole, 'Transfer-Encoding': 'chunked' })),
    /both a length/,
    1,
  ],
  [
    'I4.42 a chunk of a malformed size',
    text(`${head(200, { ETag: '"v1"', 'Transfer-Encoding': 'chunked' })}5x\r\n`),
    /size of a chunk/,
    1,
  ],
  [
    'I4.42 more chunks than the file has bytes',
    (_, socket) =>
      void socket.end(
        Buffer.concat([
          Buffer.from(head(200, { ETag: '"v1"', 'Transfer-Encoding': 'chunked' })),
          inChunks(Buffer.concat([image, image])),
        ]),
      ),
    /more bytes than it declares/,
    1,
  ],
  [
    'I4.42 fewer chunks than the file has bytes',
    (_, socket) =>
      void socket.end(
        Buffer.concat([
          Buffer.from(head(200, { ETag: '"v1"', 'Transfer-Encoding': 'chunked' })),
          inChunks(image.subarray(0, HALF)),
        ]),
      ),
    /fewer bytes than it declares/,
    1,
  ],
  [
    'I4.44 206 to a plain GET',
    text(head(206, { ...whole, 'Content-Range': `bytes 0-${LAST}/${image.length}` })),
    /whole file with status 206/,
    1,
  ],
  ['I4.44 416 to a plain GET', text(head(416, { 'Content-Length': 0 })), /whole file with status 416/, 1],
  [
    'I4.45 another ETag',
    text(head(200, { ...whole, ETag: '"v2"' })),
    /changed while it was being fetched/,
    3,
  ],
  [
    'I4.45 another length',
    text(head(200, { ...whole, 'Content-Length': image.length + 1 })),
    /changed while it was being fetched/,
    3,
  ],
  [
    'I4.46 a content encoding',
    text(head(200, { ...whole, 'Content-Encoding': 'gzip' })),
    /content encoding that was not asked for/,
    1,
  ],
  ['I4.47 404 after the opening', text(head(404, { 'Content-Length': 0 })), /answered 404 Not Found/, 1],
  ['I4.47 403 after the opening', text(head(403, { 'Content-Length': 0 })), /answered 403 Forbidden/, 1],
] // prettier-ignore

for (const [title, answer, cause, starts] of WHOLE) {
  test(`${title}, where the whole file was asked for`, async () => {
    await using server = await scriptedServer(staged({ whole: answer }))
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertFailure(ended, 'DOWNLOAD', cause, 'unbootable')
    if (starts > 1) assert.match(ended.error?.cause ?? '', tooOften)
    assert.equal(server.requests.filter((request) => stageOf(request) === 'whole').length, starts)
  })
}

const wrongPart =
  (shift: number): Handler =>
  (request, socket) => {
    const first = firstOf(request) + shift
    const fields = {
      'Content-Range': `bytes ${first}-${LAST}/${image.length}`,
      'Content-Length': image.length - first,
    }
    socket.write(head(206, { ETag: '"v1"', ...fields }))
    socket.end(image.subarray(first))
  }
const cut = { how: 'end', at: HALF } as const

test('I4.44 every resume is one byte early: three starts, then DOWNLOAD', async () => {
  const cutAlways: StageHandler = (request, socket, index) =>
    fileHandler(image, { cut })(request, socket, index)
  await using server = await scriptedServer(staged({ whole: cutAlways, resume: wrongPart(-1) }))
  const ended = await deploy(server.origin, { checkSum: rightSum })
  assertFailure(ended, 'DOWNLOAD', /too often.*did not send the range of the file/, 'unbootable')
  assert.equal(server.requests.filter((request) => stageOf(request) === 'resume').length, 3)
})

for (const [title, resume] of [
  ['I4.44 one resume is one byte late', wrongPart(1)],
  [
    'I4.44 one resume is answered with 200 from the start',
    (_, socket) => void socket.end(Buffer.concat([Buffer.from(head(200, whole)), image])),
  ],
  [
    'I4.44 one resume is answered with 416',
    text(head(416, { 'Content-Range': `bytes */${image.length}`, 'Content-Length': 0 })),
  ],
] satisfies [string, StageHandler][]) {
  test(`${title}: from the start again, and complete`, async () => {
    await using server = await scriptedServer(staged({ resume }, { cut }))
    const ended = await deploy(server.origin, { checkSum: rightSum })
    assertDisk(ended, 'complete')
    assert.equal(ended.log.filter((line) => line.startsWith('Starting again at the first byte')).length, 1)
    assert.equal(server.requests.filter((request) => stageOf(request) === 'whole').length, 2)
  })
}

test('I4.45 the file is replaced in the middle: the new one arrives whole', async () => {
  const old = Buffer.alloc(image.length + 512, 'old')
  await using server = await scriptedServer(
    fileHandler(old, { etag: '"v0"', cut, afterCut: fileHandler(image) }),
  )
  assertDisk(await deploy(server.origin, { checkSum: rightSum }), 'complete')
})

test('I4.45 the same ETag but other bytes: only the checksum can tell', async () => {
  const other = Buffer.alloc(image.length, 7)
  for (const checkSum of [rightSum, null]) {
    await using server = await scriptedServer(fileHandler(image, { cut, afterCut: fileHandler(other) }))
    const ended = await deploy(server.origin, { checkSum })
    if (!checkSum) assert.equal(ended.error, null)
    else assertFailure(ended, 'SUM', /./, 'unbootable')
  }
})

test('I4.45 Last-Modified only, a minute old: resumed with it', async () => {
  const fields = { 'Last-Modified': 'Tue, 24 Nov 2026 10:00:00 GMT', Date: 'Tue, 24 Nov 2026 10:01:00 GMT' }
  await using server = await scriptedServer((request, socket, index) => {
    // The helper knows ETags only: a date that is the file's is as good as none.
    if (request.headers.get('if-range') === fields['Last-Modified']) request.headers.delete('if-range')
    return serve(request, socket, index)
  })
  const serve = fileHandler(image, { etag: null, fields, cut })
  assertDisk(await deploy(server.origin, { checkSum: rightSum }), 'complete')
  assert.match(server.requests.at(-1)?.text ?? '', /If-Range: Tue, 24 Nov 2026 10:00:00 GMT$/)
  assert.equal(server.requests.length, 6)
})

test('I4.49 right bytes, wrong checksum', async () => {
  await using server = await scriptedServer(staged({}))
  const value = '0'.repeat(64)
  const ended = await deploy(server.origin, { checkSum: { type: 'sha256', value } })
  assertFailure(ended, 'SUM', /./, 'unbootable')
  assert.deepEqual([ended.error?.got, ended.error?.expected], [rightSum.value, value])
})
