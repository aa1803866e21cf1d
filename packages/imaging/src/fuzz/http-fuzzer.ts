import assert from 'node:assert/strict'
import { ChunkedDecoder } from '../source/chunked.ts'
import {
  bodyFraming,
  contentRange,
  findHeadEnd,
  MAX_HEAD,
  parseHead,
  refuseContentEncoding,
} from '../source/http-head.ts'
import type { Fuzzer } from './fuzzer.ts'
import { damage, mutated } from './mutate.ts'
import { chanceOf, cut } from './pieces.ts'
import type { Random } from './random.ts'

const STATUS = [
  '200 OK',
  '206 Partial Content',
  '301 Moved',
  '404',
  '204 ',
  '416 Range Not Satisfiable',
  '503 \xe9',
]
const NUMBERS = [
  '0',
  '1',
  '65536',
  '-1',
  '+5',
  '5, 5',
  '5, 6',
  '05',
  '1e3',
  '0x10',
  ' 7',
  '9007199254740993',
  '',
]

/** An answer with a body that its head describes. */
function answer(random: Random): { lines: string[]; body: string } {
  const text = 'image bytes '.repeat(random.below(40))
  const isChunked = random.chance(0.6)
  const lines = [`HTTP/1.${random.pick(['1', '1', '1', '0'])} ${random.pick(STATUS)}`]
  if (isChunked) lines.push('Transfer-Encoding: chunked')
  else if (random.chance(0.9)) lines.push(`Content-Length: ${text.length}`)
  if (random.chance(0.3)) lines.push(`Content-Range: bytes 0-${text.length - 1}/${text.length}`)
  if (random.chance(0.5)) lines.push('ETag: "5f3-12"', 'Server: nginx')
  if (random.chance(0.1)) lines.push('Content-Encoding: identity')
  return { lines, body: isChunked ? chunked(text, random) : text }
}

function chunked(text: string, random: Random): string {
  const parts: string[] = []
  for (let at = 0; at < text.length; ) {
    const part = text.slice(at, at + random.between(1, 90))
    const extension = random.pick(['', '', '', ';a=b', ' ; name="x y"'])
    parts.push(`${part.length.toString(16)}${extension}\r\n${part}\r\n`)
    at += part.length
  }
  const trailer = random.pick(['', '', 'Expires: never\r\n'])
  return `${parts.join('')}0\r\n${trailer}\r\n`
}

/** Fields as nobody should send them. */
function oddField(random: Random): string {
  const length = random.pick(NUMBERS)
  return random.pick([
    `Content-Length: ${length}`,
    `content-length:${length}`,
    `Content-Length : ${length}`,
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: \tChunked ',
    'Transfer-Encoding: identity',
    'Content-Encoding: gzip',
    `Content-Range: bytes ${length}-${random.pick(NUMBERS)}/${random.pick([...NUMBERS, '*'])}`,
    ' folded: line',
    `X-${'y'.repeat(random.below(70))}: ${'z'.repeat(random.pick([0, 10, 1000]))}`,
    'no colon',
    ': no name',
    'Naïve: yes',
    'A: b\nC: d',
    'A: b\0c',
    'A: b\rc',
  ])
}

export const httpFuzzer: Fuzzer = {
  make(random) {
    const { lines, body } = answer(random)
    for (let odd = random.pick([0, 0, 1, 2]); odd > 0; odd--) {
      lines.splice(random.between(1, lines.length), 0, oddField(random))
    }
    if (random.chance(0.01))
      lines.push(...Array.from({ length: 199 + random.below(6) }, (_, at) => `F${at}: v`))
    const end = random.chance(0.02) ? '\n' : '\r\n'
    const file = Buffer.from(`${lines.join(end)}${end}${end}${body}`, 'latin1')
    const sizeLine = random.pick([
      '\r\n-1\r\n',
      '\r\nfffffffffffffff\r\n',
      '\r\n\r\n',
      '\n',
      '\r\n0\r\n',
      `\r\n${'0'.repeat(1100)}1\r\n`,
    ])
    return mutated(file, random, [
      (bytes) => damage(bytes, random),
      (bytes) => {
        const at = random.below(bytes.length + 1)
        return Buffer.concat([bytes.subarray(0, at), Buffer.from(sizeLine), bytes.subarray(at)])
      },
    ])
  },
  check(file) {
    const random = chanceOf(file)
    const { head, body } = readHead(file, random)
    for (const [name, value] of head.fields) assert.match(`${name}:${value}`, /^[^\0\r\n]*$/)
    refuseContentEncoding(head)
    const range = contentRange(head)
    if (range) assert.ok(range.first <= range.last && range.last < range.total)
    const framing = bodyFraming(head)
    if (framing.kind === 'length') assert.ok(Number.isSafeInteger(framing.length) && framing.length >= 0)
    if (framing.kind === 'chunked') {
      const once = unchunked([body])
      assert.deepEqual(unchunked(cut(body, random)), once, 'the pieces decide what is read')
      assert.ok(once.data.length + once.rest.length <= body.length)
    }
  },
}

/** As a connection does: what has come so far is searched for its end. */
function readHead(file: Buffer, random: Random) {
  let length = 0
  for (const piece of cut(file, random)) {
    const searched = length
    length = Math.min(length + piece.length, MAX_HEAD)
    const end = findHeadEnd(file.subarray(0, length), searched)
    if (end >= 0) return { head: parseHead(file.subarray(0, end)), body: file.subarray(end) }
  }
  // The connection closed before the head's end, which is no fault of the head.
  return { head: parseHead(Buffer.from('HTTP/1.1 200\r\n\r\n')), body: file.subarray(file.length) }
}

function unchunked(pieces: Iterable<Uint8Array>): { data: Buffer; rest: Buffer; done: boolean } {
  const decoder = new ChunkedDecoder()
  const data: Uint8Array[] = []
  const rest: Uint8Array[] = []
  for (const piece of pieces) {
    if (decoder.done) {
      rest.push(piece)
      continue
    }
    data.push(...decoder.decode(piece))
    rest.push(decoder.rest)
  }
  return { data: Buffer.concat(data), rest: Buffer.concat(rest), done: decoder.done }
}
