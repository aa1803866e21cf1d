import assert from 'node:assert/strict'
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
