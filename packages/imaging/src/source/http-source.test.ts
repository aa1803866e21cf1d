import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FetchLimits } from './fetch-limits.ts'
import { content, failure, fetchAll, KeepingSink, MIB, open } from './testing/fetching.ts'
import {
  breakOff,
  type Cut,
  fileHandler,
  type Handler,
  head,
  inChunks,
  scriptedServer,
  writeSlowly,
} from './testing/scripted-server.ts'

const CUTS = [0, MIB, Math.floor(content.length / 2), content.length - 1]
const HOWS: Cut[] = ['reset', 'end', 'silence']
/** Only silence needs a limit that is reached; anything else must not depend on how busy the machine is. */
const patience = (how: Cut): Partial<FetchLimits> => (how === 'silence' ? { idleMs: 150 } : {})
const long = { 'Content-Length': content.length, ETag: '"v1"' }

test('A file is opened with one byte and streamed with one plain GET.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const source = await open(`${server.origin}/image`)
  assert.deepEqual([source.size, source.ranged], [content.length, true])
  assert.deepEqual(
    server.requests.map(({ headers }) => headers.get('range')),
    ['bytes=0-0'],
  )
  const sink = new KeepingSink()
  assert.equal(await source.stream(sink), content.length)
  assert.ok(sink.bytes.equals(content))
  assert.equal(server.requests[1]?.headers.has('range'), false)
  await source.close()
})

test('A server without ranges costs one more request, whose body is not read.', async () => {
  let taken = 0
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  await using server = await scriptedServer(async (_, socket) => {
    socket.write(head(200, { ...long, 'Content-Length': 50 * MIB }))
    await writeSlowly(socket, Buffer.alloc(50 * MIB), (bytes) => (taken = bytes))
    resolve()
  })
  const source = await open(server.origin)
  await gone
  assert.deepEqual([source.size, source.ranged, server.requests.length], [50 * MIB, false, 1])
  assert.ok(taken < 40 * MIB, `${taken} bytes were taken`) // the kernel's buffers are generous on loopback
  await assert.rejects(source.readAt(0, Buffer.alloc(1)), TypeError)
  await source.close()
})

for (const chunked of [false, true]) {
  for (const how of HOWS) {
    for (const at of CUTS) {
      const body = chunked ? 'chunked body' : 'body'
      test(`I4.39 ${body} that breaks off by ${how} after ${at} bytes: resumed there, nothing is sent twice.`, async () => {
        const sink = new KeepingSink()
        const sent: [first: number, length: number][] = []
        const cut = { how, at, taken: () => sink.reached(at) }
        const onBody = (first: number, length: number): void => void sent.push([first, length])
        await using server = await scriptedServer(fileHandler(content, { chunked, cut, onBody }))
        const lines: string[] = []
        const limits = patience(how)
        await fetchAll(server.origin, { limits, onLog: (line) => lines.push(line) }, sink)
        assert.ok(sink.bytes.equals(content))
        if (how !== 'silence') assert.equal(lines.length, 1)
        const rest = [at, content.length - at] as const
        // The first is the byte that the file is opened with. A limit of silence may end a busy machine's attempt too early.
        if (how !== 'silence' || lines.length === 1) assert.deepEqual(sent, [[0, 1], [0, at], rest])
        assert.ok(sent.slice(2).every(([first]) => first >= at))
        if (at > 0) assert.equal(server.requests[2]?.headers.get('if-range'), '"v1"')
      })
    }
  }
}

for (const how of HOWS) {
  test(`Without a strong validator a body that breaks off by ${how} asks for a new start.`, async () => {
    for (const options of [{ etag: null }, { etag: 'W/"v1"' }, { ranges: false }]) {
      await using server = await scriptedServer(fileHandler(content, { ...options, cut: { how, at: MIB } }))
      const error = await failure(fetchAll(server.origin, { limits: patience(how) }))
      assert.deepEqual([error.startAgain, server.requests.length], [true, 2])
      assert.match(error.cause, /cannot go on where it stopped/)
    }
  })
}

const dates = (modified: string) => ({ 'Last-Modified': modified, Date: 'Tue, 24 Nov 2026 10:01:00 GMT' })
const VALIDATORS: [what: string, etag: string | null, fields: Record<string, string>, ranged: boolean][] = [
  ['a strong ETag', '"x"', {}, true],
  ['a weak ETag', 'W/"x"', {}, false],
  ['a malformed ETag', 'x', {}, false],
  ['nothing', null, {}, false],
  ['a Last-Modified a minute old', null, dates('Tue, 24 Nov 2026 10:00:00 GMT'), true],
  ['a Last-Modified just now', null, dates('Tue, 24 Nov 2026 10:00:01 GMT'), false],
  ['a malformed Last-Modified', null, dates('2026-11-24'), false],
  ['a Last-Modified without Date', null, { 'Last-Modified': 'Tue, 24 Nov 2026 10:00:00 GMT' }, false],
  ['a weak ETag beside a Last-Modified', 'W/"x"', dates('Tue, 24 Nov 2026 10:00:00 GMT'), false],
]

for (const [what, etag, fields, ranged] of VALIDATORS) {
  test(`With ${what} as its validator a file is ${ranged ? '' : 'not '}read in ranges.`, async () => {
    await using server = await scriptedServer(fileHandler(content, { etag, fields }))
    const source = await open(server.origin)
    assert.deepEqual([source.ranged, source.size], [ranged, content.length])
    await source.close()
  })
}

type Resume = (socket: Parameters<Handler>[1], at: number) => void
/** A 206 from so many bytes behind `at`. */
const from =
  (
    behind: number,
    total = content.length,
    fieldsAt: (at: number) => Record<string, string | number> = () => ({}),
  ): Resume =>
  (socket, at) => {
    const first = at + behind
    const fields = fieldsAt(at)
    const range = `bytes ${first}-${total - 1}/${total}`
    socket.write(
      head(206, { ETag: '"v1"', 'Content-Range': range, 'Content-Length': total - first, ...fields }),
    )
    socket.end(content.subarray(first))
  }
const whole = content.length
const RESUMES: [what: string, answer: Resume][] = [
  ['200 from the start', (socket) => void socket.end(Buffer.concat([Buffer.from(head(200, long)), content]))],
  ['200 of a new file', (socket) => void socket.write(head(200, { ...long, ETag: '"v2"' }))],
  ['206 from 0', (socket, at) => from(-at)(socket, at)],
  ['206 one byte early', from(-1)],
  ['206 one byte late', from(1)],
  ['206 with another total', from(0, whole + 1)],
  ['206 with another ETag', from(0, whole, () => ({ ETag: '"v2"' }))],
  ['206 with a weak ETag', from(0, whole, () => ({ ETag: 'W/"v1"' }))],
  [
    '206 without ETag',
    (socket, at) => void socket.write(head(206, { 'Content-Range': `bytes ${at}-${whole - 1}/${whole}` })),
  ],
  ['206 with an unknown total', from(0, whole, (at) => ({ 'Content-Range': `bytes ${at}-${whole - 1}/*` }))],
  ['206 with an unknown range', from(0, whole, () => ({ 'Content-Range': `bytes */${whole}` }))],
  ['206 without Content-Range', (socket) => void socket.write(head(206, long))],
  [
    '206 of an earlier part',
    from(0, whole, (at) => ({
      'Content-Range': `bytes ${at - 10}-${at - 1}/${whole}`,
      'Content-Length': 10,
    })),
  ],
  [
    '206 that ends one byte early',
    from(0, whole, (at) => ({
      'Content-Range': `bytes ${at}-${whole - 2}/${whole}`,
      'Content-Length': whole - 1 - at,
    })),
  ],
  ['206 with a length that is not the range', from(0, whole, () => ({ 'Content-Length': whole + 10 }))],
  ['multipart/byteranges', from(0, whole, () => ({ 'Content-Type': 'multipart/byteranges; boundary=x' }))],
  [
    '416',
    (socket) =>
      void socket.write(head(416, { 'Content-Range': `bytes */${content.length}`, 'Content-Length': 0 })),
  ],
]

for (const at of [1, MIB, Math.floor(whole / 2), whole - 1]) {
  for (const [what, answer] of RESUMES) {
    test(`I4.44, I4.45 A resume at ${at} that is answered with ${what}: never written at a guessed place.`, async () => {
      const cut = { how: 'end', at } as const
      const afterCut: Handler = (_, socket) => answer(socket, at)
      await using server = await scriptedServer(fileHandler(content, { cut, afterCut }))
      const sink = new KeepingSink()
      const error = await failure(fetchAll(server.origin, {}, sink))
      assert.deepEqual([error.code, error.startAgain, server.requests.length], ['DOWNLOAD', true, 3])
      assert.match(error.cause, /changed while it was being fetched|did not send the range/)
      assert.ok(sink.bytes.equals(content.subarray(0, at)))
    })
  }
}

for (const [what, answer] of RESUMES) {
  test(`I4.44, I4.45 A ranged read that is answered with ${what}: nothing is taken from it.`, async () => {
    await using server = await scriptedServer((request, socket, index) =>
      index === 0 ? fileHandler(content)(request, socket, index) : answer(socket, MIB),
    )
    const source = await open(server.origin)
    const part = Buffer.alloc(whole - MIB)
    assert.equal((await failure(source.readAt(MIB, part))).startAgain, true)
    assert.ok(part.every((byte) => byte === 0))
    await source.close()
  })
}

test('A resume with the same ETag but other bytes can only be found by the checksum.', async () => {
  const cut = { how: 'end', at: MIB } as const
  const other = fileHandler(Buffer.alloc(content.length, 7))
  await using server = await scriptedServer(fileHandler(content, { cut, afterCut: other }))
  const bytes = await fetchAll(server.origin)
  assert.equal(bytes.length, content.length)
  assert.ok(!bytes.equals(content))
})

const changedFile = fileHandler(Buffer.concat([content, content]), { etag: '"v2"' })
test('A file that changes between opening and reading asks for a new start.', async () => {
  for (const read of ['stream', 'readAt'] as const) {
    await using server = await scriptedServer((request, socket, index) =>
      (index === 0 ? fileHandler(content) : changedFile)(request, socket, index),
    )
    const source = await open(server.origin)
    const error = await failure(
      read === 'stream' ? source.stream(new KeepingSink()) : source.readAt(5, Buffer.alloc(5)),
    )
    assert.deepEqual(
      [error.startAgain, error.cause],
      [true, 'The file at the URL changed while it was being fetched.'],
    )
    await source.close()
  }
})

const raw =
  (text: string): Handler =>
  (_, socket) =>
    void socket.write(text)
const closing =
  (text: string): Handler =>
  (_, socket) =>
    void socket.end(text)
test('A few interim answers are skipped.', async () => {
  await using server = await scriptedServer((request, socket, index) => {
    socket.write(`HTTP/1.1 100 Continue\r\n\r\n${'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n'.repeat(5)}`)
    return fileHandler(content)(request, socket, index)
  })
  assert.ok((await fetchAll(server.origin)).equals(content))
})

for (const status of [408, 429, 500, 502, 503, 599]) {
  test(`${status} is asked again, at the start and on a resume.`, async () => {
    let refusals = 0
    const cut = { how: 'end', at: MIB } as const
    const file = fileHandler(content, { cut })
    await using server = await scriptedServer((request, socket, index) => {
      if (index !== 0 && index !== 1 && index !== 4) return file(request, socket, index)
      refusals++
      return void socket.end(
        head(status, { 'Retry-After': index === 0 ? '86400' : 'x', 'Content-Length': 0 }),
      )
    })
    assert.ok((await fetchAll(server.origin)).equals(content))
    assert.equal(refusals, 3)
  })
}

for (const [status, why] of [
  [503, /503 Service Unavailable/],
  [404, /404 Not Found/],
  [403, /403 Forbidden/],
] as const) {
  test(`A server that flips to ${status} for good ends in DOWNLOAD.`, async () => {
    const cut = { how: 'end', at: MIB } as const
    await using server = await scriptedServer(
      fileHandler(content, { cut, afterCut: closing(head(status, { 'Content-Length': 0 })) }),
    )
    const error = await failure(fetchAll(server.origin, { limits: { retryBudgetMs: 100 } }))
    assert.deepEqual([error.code, error.startAgain], ['DOWNLOAD', false])
    assert.match(error.cause, why)
  })
}

/** Answers all but the first request as `handler` does. */
const afterOpening =
  (handler: Handler, file = content): Handler =>
  (request, socket, index) =>
    (index === 0 ? fileHandler(file) : handler)(request, socket, index)

test('Without length, chunks and checksum a file is refused at the start.', async () => {
  await using server = await scriptedServer(closing(`${head(200)}abc`))
  assert.match((await failure(open(server.origin, { hasCheckSum: false }))).cause, /neither how long/)
})

test('Without length and chunks, but with a checksum, a file ends where the connection does.', async () => {
  await using server = await scriptedServer(
    (_, socket) => void socket.end(Buffer.concat([Buffer.from(head(200)), content])),
  )
  assert.ok((await fetchAll(server.origin)).equals(content))
})

test('HTTP/1.0 will do.', async () => {
  const answer = Buffer.from(`HTTP/1.0 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`)
  await using server = await scriptedServer((_, socket) => void socket.end(Buffer.concat([answer, content])))
  assert.ok((await fetchAll(server.origin, { hasCheckSum: false })).equals(content))
})

test('Bytes beyond the declared length are an error where no checksum would find them.', async () => {
  for (const chunked of [false, true]) {
    const file = chunked
      ? head(200, { 'Transfer-Encoding': 'chunked' })
      : head(200, { 'Content-Length': content.length })
    const body = chunked ? inChunks(content) : content
    await using server = await scriptedServer(
      (_, socket) => void socket.end(Buffer.concat([Buffer.from(file), body, Buffer.from('x')])),
    )
    assert.match(
      (await failure(fetchAll(server.origin, { hasCheckSum: false }))).cause,
      /more bytes than the length/,
    )
    assert.ok((await fetchAll(server.origin, { hasCheckSum: true })).equals(content))
  }
})

test('A chunked file of unknown length is streamed, and a broken chunk is an error.', async () => {
  await using server = await scriptedServer(fileHandler(content, { ranges: false, chunked: true }))
  const source = await open(server.origin, { hasCheckSum: false })
  assert.equal(source.size, undefined)
  const sink = new KeepingSink(4097)
  assert.equal(await source.stream(sink), content.length)
  assert.ok(sink.bytes.equals(content))
  await source.close()
  await using broken = await scriptedServer(
    raw(`${head(200, { 'Transfer-Encoding': 'chunked' })}5\r\nhello\r\nxyz\r\n`),
  )
  assert.match((await failure(fetchAll(broken.origin))).cause, /size of a chunk/)
})

test('Ranges are read over at most two kept connections, in any order, and across a cut.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const source = await open(server.origin)
  const offsets = [5, 2 * MIB, 0, content.length - 1000, 777, MIB, 12, 99_999]
  const parts = offsets.map(() => Buffer.alloc(1000))
  await Promise.all(offsets.map((offset, index) => source.readAt(offset, parts[index] as Buffer)))
  for (const [index, offset] of offsets.entries())
    assert.ok(parts[index]?.equals(content.subarray(offset, offset + 1000)))
  assert.ok(server.connections <= 2)
  await source.readAt(content.length, Buffer.alloc(0))
  await assert.rejects(source.readAt(content.length, Buffer.alloc(1)), RangeError)
  await source.close()
})

test('A ranged read that is cut goes on where it stopped; one on a connection that was closed meanwhile is repeated.', async () => {
  let cuts = 0
  await using server = await scriptedServer(async (request, socket, index) => {
    if (index !== 1 && index !== 3) return fileHandler(content)(request, socket, index)
    cuts++
    if (index === 3) return void socket.destroy()
    socket.write(
      head(206, {
        ETag: '"v1"',
        'Content-Range': `bytes 0-${MIB - 1}/${content.length}`,
        'Content-Length': MIB,
      }),
    )
    return breakOff(socket, content.subarray(0, 5000), 'end')
  })
  const lines: string[] = []
  const source = await open(server.origin, { onLog: (line) => lines.push(line) })
  const part = Buffer.alloc(MIB)
  await source.readAt(0, part)
  assert.ok(part.equals(content.subarray(0, MIB)))
  assert.equal(server.requests[2]?.headers.get('range'), `bytes=5000-${MIB - 1}`)
  await source.readAt(5, part)
  assert.ok(part.equals(content.subarray(5, MIB + 5)))
  assert.deepEqual([cuts, lines.length], [2, 1])
  await source.close()
})

test('Bytes arrive in the very memory that the sink gave, shared memory included.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const memory = Buffer.from(new SharedArrayBuffer(4 * MIB))
  let at = 0
  const source = await open(server.origin)
  await source.stream({
    reserve: () => memory.subarray(at, at + 300_007),
    commit: (length) => void (at += length),
  })
  assert.ok(memory.subarray(0, content.length).equals(content))
  await source.close()
})

test('A failure of the sink ends the stream with that failure.', async () => {
  await using server = await scriptedServer(fileHandler(content))
  const full = new Error('the disk is full')
  const sinks = [
    { reserve: () => Promise.reject(full), commit: () => undefined },
    {
      reserve: () => Buffer.alloc(9),
      commit: () => {
        throw full
      },
    }, // prettier-ignore
  ]
  for (const sink of sinks) {
    const source = await open(server.origin)
    await assert.rejects(source.stream(sink), full)
    await source.close()
  }
})

const never: Handler = () => undefined
const STOPS: [when: string, handler: Handler][] = [
  ['before the head', never],
  [
    'in the body',
    afterOpening(
      (_, socket) =>
        void socket.write(Buffer.concat([Buffer.from(head(200, long)), content.subarray(0, 99)])),
    ),
  ],
  ['between two attempts', closing(head(503, { 'Content-Length': 0 }))],
]

for (const [when, handler] of STOPS) {
  test(`A request to stop is obeyed ${when}.`, async () => {
    const stop = new AbortController()
    await using server = await scriptedServer((request, socket, index) => {
      if (when !== 'in the body' || index > 0) setImmediate(() => stop.abort())
      return handler(request, socket, index)
    })
    const limits = { retryFirstMs: 60_000, retryMostMs: 60_000, retryBudgetMs: 600_000 }
    const error = await failure(fetchAll(server.origin, { signal: stop.signal, limits }))
    assert.equal(error.code, 'CANCELLED')
  })
}

test('Closing a source ends what is under way.', async () => {
  await using server = await scriptedServer(afterOpening(never))
  const source = await open(server.origin)
  const streamed = failure(source.stream(new KeepingSink()))
  await source.close()
  assert.equal((await streamed).code, 'CANCELLED')
})
