import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImagingError } from '../error.ts'
import { bodyFraming, contentRange, findHeadEnd, parseHead, refuseContentEncoding } from './http-head.ts'

const parse = (...lines: string[]) => parseHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'))
const answer = (...fields: string[]) => parse('HTTP/1.1 200 OK', ...fields)
const throwsWith = (run: () => unknown, why: RegExp) =>
  assert.throws(
    run,
    (error) => error instanceof ImagingError && error.code === 'DOWNLOAD' && why.test(error.cause),
  )

test('A head is found wherever it is cut, and what follows it is left alone.', () => {
  const bytes = Buffer.from('HTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n\r\nbody')
  for (let cut = 0; cut < 25; cut++) assert.equal(findHeadEnd(bytes.subarray(0, cut)), -1)
  for (let cut = 25; cut <= bytes.length; cut++)
    assert.equal(findHeadEnd(bytes.subarray(0, cut), cut - 1 < 24 ? cut - 1 : 24), 25)
})

test('Names are compared without case, blanks around values go, and repeated fields are joined.', () => {
  const { minor, status, fields } = answer('ETag:"x"  ', 'X-A: \t1', 'x-a: 2', 'Empty:')
  assert.deepEqual(
    { minor, status, fields: [...fields] },
    {
      minor: 1,
      status: 200,
      fields: [
        ['etag', '"x"'],
        ['x-a', '1, 2'],
        ['empty', ''],
      ],
    },
  )
})

const BAD_HEADS: [what: string, bytes: string, why: RegExp][] = [
  ['another protocol', 'SSH-2.0-OpenSSH_9\r\n', /does not begin/],
  ['HTTP/2', 'HTTP/2 200\r\n\r\n', /does not begin/],
  ['a bare line feed', 'HTTP/1.1 200 OK\nA: b\r\n\r\n', /carriage return/],
  ['a bare line feed at the end', 'HTTP/1.1 200 OK\r\n\n', /carriage return/],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', /status line/],
  ['a signed status', 'HTTP/1.1 +20 OK\r\n\r\n', /status line/],
  ['a folded field', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', /folded/],
  ['a NUL', 'HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n', /malformed/],
  ['a bare carriage return', 'HTTP/1.1 200 OK\r\nA: b\rContent-Length: 1\r\n\r\n', /malformed/],
  ['a blank before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n', /malformed/],
  ['a field without colon', 'HTTP/1.1 200 OK\r\nabc\r\n\r\n', /malformed/],
  ['201 fields', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(201)}\r\n`, /200 header fields/],
  ['65 KiB without end', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(65 * 1024)}`, /longer/],
  ['65 KiB with end', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(65 * 1024)}\r\n\r\n`, /longer/],
]

for (const [what, text, why] of BAD_HEADS) {
  test(`A head with ${what} is refused.`, () => {
    const bytes = Buffer.from(text, 'latin1')
    throwsWith(() => parseHead(bytes.subarray(0, findHeadEnd(bytes))), why)
  })
}

test('200 fields are not too many.', () =>
  assert.equal(answer(...Array<string>(200).fill('A: b')).status, 200))

const FRAMINGS: [fields: string[], framing: object | RegExp][] = [
  [['Content-Length: 0'], { kind: 'length', length: 0 }],
  [['Content-Length: 9007199254740991'], { kind: 'length', length: Number.MAX_SAFE_INTEGER }],
  [['Content-Length: 5', 'Content-Length: 5'], { kind: 'length', length: 5 }],
  [['Transfer-Encoding: Chunked'], { kind: 'chunked' }],
  [[], { kind: 'close' }],
  [['Content-Length: 5', 'Content-Length: 6'], /two lengths/],
  [['Content-Length: 5, 6'], /two lengths/],
  [['Content-Length: -1'], /no usable number/],
  [['Content-Length: +1'], /no usable number/],
  [['Content-Length: 0x10'], /no usable number/],
  [['Content-Length: 1 1'], /no usable number/],
  [['Content-Length:'], /no usable number/],
  [['Content-Length: 9007199254740992'], /no usable number/],
  [['Content-Length: 18446744073709551616'], /no usable number/],
  [['Content-Length: 5', 'Transfer-Encoding: chunked'], /both/],
  [['Transfer-Encoding: gzip, chunked'], /transfer coding/],
  [['Transfer-Encoding: gzip'], /transfer coding/],
  [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], /transfer coding/],
  [['Transfer-Encoding: xchunked'], /transfer coding/],
]

for (const [fields, framing] of FRAMINGS) {
  test(`An answer with ${fields.join(' and ') || 'no framing'} is ${framing instanceof RegExp ? 'refused' : 'understood'}.`, () => {
    if (framing instanceof RegExp) throwsWith(() => bodyFraming(answer(...fields)), framing)
    else assert.deepEqual(bodyFraming(answer(...fields)), framing)
  })
}

test('HTTP/1.0 knows no transfer coding.', () => {
  throwsWith(() => bodyFraming(parse('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked')), /HTTP\/1\.0/)
})

for (const coding of ['gzip', 'br', 'gzip, gzip, gzip, gzip, gzip, gzip', 'x-unknown', 'identity, gzip']) {
  test(`The content encoding ${coding} is refused.`, () => {
    throwsWith(() => refuseContentEncoding(answer(`Content-Encoding: ${coding}`)), /content encoding/)
  })
}

test('The content encoding identity is no encoding.', () => {
  refuseContentEncoding(answer('Content-Encoding: Identity'))
  assert.equal(answer('Content-Encoding: Identity').status, 200)
})

const RANGES: [text: string, range: object | null][] = [
  ['bytes 0-0/1', { first: 0, last: 0, total: 1 }],
  ['bytes 5-9/10', { first: 5, last: 9, total: 10 }],
  ['bytes */10', null],
  ['bytes 0-4/*', null],
  ['bytes 5-10/10', null],
  ['bytes 6-5/10', null],
  ['bytes 5-9', null],
  ['items 5-9/10', null],
  ['bytes 5-9/10, bytes 5-9/10', null],
]

for (const [text, range] of RANGES) {
  test(`Content-Range ${text} is ${range ? 'understood' : 'of no use'}.`, () => {
    assert.deepEqual(contentRange(answer(`Content-Range: ${text}`)), range)
  })
}
