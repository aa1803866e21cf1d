import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImagingError } from '../error.ts'
import { ChunkedDecoder } from './chunked.ts'

/** Decodes what comes in pieces of `size` bytes. */
function decode(wire: string, size = wire.length) {
  const decoder = new ChunkedDecoder()
  const bytes = Buffer.from(wire, 'latin1')
  const data: Uint8Array[] = []
  let at = 0
  for (; at < bytes.length && !decoder.done; at += size)
    data.push(...decoder.decode(bytes.subarray(at, at + size)))
  const rest = Buffer.concat([decoder.rest, bytes.subarray(at)]).toString('latin1')
  return { data: Buffer.concat(data).toString('latin1'), done: decoder.done, rest }
}

const WIRE =
  '5\r\nhello\r\n00c;name="a;b"\r\n chunked\r\nwo\r\n3 ; x\r\nrld\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nNEXT'

test('Chunks come out the same wherever the stream is cut.', () => {
  for (let size = 1; size <= WIRE.length; size++) {
    assert.deepEqual(decode(WIRE, size), { data: 'hello chunked\r\nworld', done: true, rest: 'NEXT' })
  }
})

test('A stream without its last chunk never is done.', () => {
  const end = WIRE.indexOf('NEXT')
  for (let length = 0; length < end; length++) assert.equal(decode(WIRE.slice(0, length)).done, false)
  assert.equal(decode(WIRE.slice(0, end)).done, true)
})

const BAD: [what: string, wire: string, why: RegExp][] = [
  ['no size', '\r\n', /size/],
  ['a negative size', '-5\r\n', /size/],
  ['a signed size', '+5\r\n', /size/],
  ['a prefixed size', '0x5\r\nhello\r\n', /size/],
  ['a size with an underscore', '1_0\r\n', /size/],
  ['a blank before the size', ' 5\r\nhello\r\n', /size/],
  ['a size of 2^64', '10000000000000000\r\n', /size/],
  ['a size of 2^53', '20000000000000\r\n', /size/],
  ['a line feed alone', '5\nhello\r\n', /control character/],
  ['a carriage return alone', '5\rhello\r\n', /carriage return/],
  ['a NUL in an extension', '5;\0\r\n', /control character/],
  ['a chunk that is longer than said', '4\r\nhello\r\n', /longer/],
  ['an endless extension', `5;${'x'.repeat(2000)}`, /too long/],
  ['endless zeros', '0'.repeat(2000), /too long/],
  ['endless trailers', `0\r\n${'T: x\r\n'.repeat(10_000)}`, /trailers/],
  ['one endless trailer', `0\r\nT: ${'x'.repeat(20_000)}`, /too long/],
]

for (const [what, wire, why] of BAD) {
  test(`A stream with ${what} is refused.`, () => {
    for (const size of [1, 7, wire.length]) {
      assert.throws(
        () => decode(wire, size),
        (error) => error instanceof ImagingError && error.code === 'DOWNLOAD' && why.test(error.cause),
      )
    }
  })
}
