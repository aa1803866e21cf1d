import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { assertFailure, deploy, image, rightSum, staged } from './testing/deploying.ts'
import { failure, fetchAll, KeepingSink, MIB } from './testing/fetching.ts'
import { type Handler, head, scriptedServer } from './testing/scripted-server.ts'

const says =
  (text: string): Handler =>
  (_, socket) =>
    void socket.write(text, 'latin1')
const ends =
  (text: string): Handler =>
  (_, socket) =>
    void socket.end(text, 'latin1')
/** 200 with these lines. */
const ok = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
const LENGTH = 'Content-Length: 5000'
const six = Array<string>(6).fill('gzip').join(', ')
const page = '<!DOCTYPE html>\n<html><title>Sign in</title>'

const START: [title: string, handler: Handler, cause: RegExp][] = [
  ['I4.42 length and chunks', says(ok('Content-Length: 5', 'Transfer-Encoding: chunked')), /both a length/],
  ['I4.42 chunks and length', says(ok('Transfer-Encoding: chunked', 'Content-Length: 5')), /both a length/],
  ['I4.42 two lengths', says(ok('Content-Length: 5', 'Content-Length: 6')), /two lengths/],
  ['I4.42 two lengths in one field', says(ok('Content-Length: 5, 6')), /two lengths/],
  ['I4.42 a negative length', says(ok('Content-Length: -1')), /no usable number/],
  ['I4.42 a signed length', says(ok('Content-Length: +5')), /no usable number/],
  ['I4.42 a length in base 16', says(ok('Content-Length: 0x10')), /no usable number/],
  ['I4.42 a length of 2^53', says(ok('Content-Length: 9007199254740992')), /no usable number/],
  ['I4.42 a length of 2^64', says(ok('Content-Length: 18446744073709551616')), /no usable number/],
  ['I4.42 a bare line feed', says('HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n'), /carriage return/],
  ['I4.42 a folded field', says(ok('A: b', ' c')), /folded/],
  ['I4.42 a NUL in a field', says(ok('A: b\0c')), /malformed/],
  ['I4.42 no HTTP', says('SSH-2.0-OpenSSH_9.9\r\n'), /does not begin with HTTP/],
  ['I4.42 HTTP/2 without being asked', says('HTTP/2 200\r\n\r\n'), /does not begin with HTTP/],
  ['I4.42 another protocol (101)', says(head(101)), /another protocol/],
  ['I4.44 206 to everything', says(head(206, { 'Content-Range': 'bytes 5-9/10' })), /status 206/],
  [
    'I4.44 multipart/byteranges to everything',
    says(head(206, { 'Content-Type': 'multipart/byteranges; boundary=x' })),
    /status 206/,
  ],
  ['I4.44 416 to everything', says(head(416)), /status 416/],
  ...['gzip', 'x-gzip', 'br', 'zstd', 'deflate', six, 'identity, gzip', 'x-unknown', 'GZIP'].map(
    (coding): (typeof START)[number] => [
      `I4.46 Content-Encoding ${coding}`,
      says(ok(LENGTH, `Content-Encoding: ${coding}`)),
      /content encoding that was not asked for/,
    ],
  ),
  [
    'I4.46 Content-Encoding twice',
    says(ok(LENGTH, 'Content-Encoding: identity', 'Content-Encoding: gzip')),
    /content encoding/,
  ],
  [
    'I4.46 transfer gzip',
    says(ok('Transfer-Encoding: gzip, chunked')),
    /transfer coding that was not asked for/,
  ],
  [
    'I4.46 transfer gzip without chunks',
    says(ok('Transfer-Encoding: gzip')),
    /transfer coding that was not asked for/,
  ],
  ...(
    [
      [401, 'Unauthorized'],
      [403, 'Forbidden'],
      [404, 'Not Found'],
      [410, 'Gone'],
      [451, 'Unavailable For Legal Reasons'],
    ] as const
  ).map(([status, phrase]): (typeof START)[number] => [
    `I4.47 ${status}`,
    says(head(status, { 'Content-Length': 0 })),
    new RegExp(`answered ${status} ${phrase}\\.$`),
  ]),
  ['I4.47 600', says(head(600)), /answered 600\.$/],
  ['I4.47 204', says(head(204)), /204 No Content, which is an empty file/],
  ['I4.47 200, empty', says(ok('Content-Length: 0')), /is an empty file/],
  ['I4.47 200, empty in chunks', ends(`${ok('Transfer-Encoding: chunked')}0\r\n\r\n`), /is an empty file/],
  ['I4.47 200, empty up to the end', ends(ok()), /is an empty file/],
] // prettier-ignore

for (const [title, handler, cause] of START) {
  test(`${title}: refused at the start, D0`, async () => {
    await using server = await scriptedServer(handler)
    const httpHeader = [{ key: 'X-A', value: 's3cret' }]
    const ended = await deploy(`${server.origin}/?sig=s3cret`, { httpHeader, checkSum: rightSum })
    assertFailure(ended, 'DOWNLOAD', cause, 'untouched')
    assert.ok(server.requests.length <= 2, `${server.requests.length} requests`)
  })
}

/** What is nothing worse in the middle than at the start. */
const MIDDLE = START.filter(([title]) => /^I4\.4[26]|^I4\.47 (4|600|204)/.test(title))

for (const at of [1, MIB, Math.floor(image.length / 2), image.length - 1]) {
  test(`I4.42, I4.46, I4.47 the same ${MIDDLE.length} answers to a resume at ${at}: refused, nothing is taken from them`, async () => {
    for (const [title, handler, cause] of MIDDLE) {
      await using server = await scriptedServer(staged({ resume: handler }, { cut: { how: 'end', at } }))
      const sink = new KeepingSink()
      const error = await failure(fetchAll(server.origin, {}, sink))
      assert.equal(error.code, 'DOWNLOAD', title)
      assert.match(error.cause, cause, title)
      assert.ok(sink.bytes.equals(image.subarray(0, at)), title)
      assert.equal(server.requests.length, 3, title)
    }
  })
}

for (const type of ['raw', 'qcow2', 'ova', 'vmdk'] as const) {
  for (const [framing, start] of [
    ['with a length', ok(`Content-Length: ${page.length}`)],
    ['in chunks', ok('Transfer-Encoding: chunked')],
  ] as const) {
    test(`I4.47 a login page as ${type}, ${framing}: FORMAT, D0`, async () => {
      const body = framing === 'in chunks' ? `${page.length.toString(16)}\r\n${page}\r\n0\r\n\r\n` : page
      await using server = await scriptedServer(ends(start + body))
      assertFailure(await deploy(server.origin, { type }), 'FORMAT', /HTML|web page/i, 'untouched')
    })
  }
}

/** Writes `piece` until the other side has gone; tells how much the kernel took. */
async function flood(socket: Socket, start: string, piece: string): Promise<number> {
  const bytes = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)), 'latin1')
  socket.write(start, 'latin1')
  while (!socket.destroyed) {
    await new Promise<void>((resolve) => {
      socket.once('close', resolve)
      socket.write(bytes, () => {
        socket.off('close', resolve)
        resolve()
      })
    })
  }
  return socket.bytesWritten
}

const chunks = head(200, { ETag: '"v1"', 'Transfer-Encoding': 'chunked' })
const FLOODS: [what: string, start: string, piece: string, cause: RegExp][] = [
  ['early hints (103)', '', 'HTTP/1.1 103 Early Hints\r\n\r\n', /more than 16 interim answers/],
  [
    'early hints with links',
    '',
    `HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(60_000)}>\r\n\r\n`,
    /more than 16 interim answers/,
  ],
  ['one header', 'HTTP/1.1 200 OK\r\nA: ', 'x', /head is longer than 65536 bytes/],
  ['headers', 'HTTP/1.1 200 OK\r\n', 'A: b\r\n', /head is longer than 65536 bytes/],
  ['a reason phrase', 'HTTP/1.1 200 ', 'x', /head is longer than 65536 bytes/],
  ['a body after 404', head(404, { 'Content-Length': 2 ** 50 }), 'x', /answered 404/],
  [
    'a body after a redirect nowhere',
    head(302, { 'Content-Length': 2 ** 50 }),
    'x',
    /without saying where to/,
  ],
] // prettier-ignore
const BODIES: typeof FLOODS = [
  ['an extension of a chunk', `${chunks}5;`, 'x', /what stands between two chunks is too long/],
  ['trailers', `${chunks}0\r\n`, 'A: b\r\n', /trailers are too long|fewer bytes/],
]

/** What this thread holds, in bytes; the bodies that the test itself sends are in it once. */
const held = (): number => {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

for (const [stage, floods] of [
  ['open', FLOODS],
  ['resume', FLOODS],
  ['whole', BODIES],
] as const) {
  for (const [what, start, piece, cause] of floods) {
    test(`I4.48 ${what} without end, as the answer to '${stage}': refused, memory flat`, async () => {
      let taken = 0
      const { promise: gone, resolve } = Promise.withResolvers<void>()
      const answer: Handler = async (_, socket) => {
        taken = await flood(socket, start, piece)
        resolve()
      }
      const cut = stage === 'resume' ? { cut: { how: 'end', at: image.length - 1 } as const } : {}
      await using server = await scriptedServer(staged({ [stage]: answer }, cut))
      const before = held()
      const ended = await deploy(server.origin, { checkSum: rightSum })
      assert.ok(held() - before < 40 * MIB, `${held() - before} bytes`)
      assertFailure(ended, 'DOWNLOAD', cause, stage === 'open' ? 'untouched' : 'unbootable')
      await gone
      assert.ok(taken < 32 * MIB, `${taken} bytes were taken`) // mostly by the kernel
    })
  }
}

test('I4.48 10,000 headers, and 201 short ones: refused by their number', async () => {
  for (const count of [201, 10_000]) {
    await using server = await scriptedServer(says(ok(...Array<string>(count).fill('A: b'))))
    assertFailure(await deploy(server.origin), 'DOWNLOAD', /more than 200 header fields/, 'untouched')
  }
})

test('I4.48 a header of 1 MiB: refused', async () => {
  await using server = await scriptedServer(says(ok(`A: ${'x'.repeat(MIB)}`, LENGTH)))
  assertFailure(await deploy(server.origin), 'DOWNLOAD', /head is longer than 65536 bytes/, 'untouched')
})

test('I4.48 a hundred thousand early hints before a good answer: refused', async () => {
  await using server = await scriptedServer((request, socket, index) => {
    socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100_000))
    return staged({})(request, socket, index)
  })
  assertFailure(await deploy(server.origin), 'DOWNLOAD', /interim answers/, 'untouched')
})
