import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStrictJson, StrictJsonError } from './strict-json.ts'

const accepted = [
  '{}',
  '[]',
  ' \t\r\n{ "a" : [ 1 , -0.5e-3 , true , false , null , "x" ] } \n',
  '"\\u00e9\\n\\/\\\\\\" \\ud83d\\ude00 é 😀"',
  '0',
  '1E3',
  '123456789012345',
  '""',
  '{"":{"":""}}',
  '{"a":{"x":1},"b":{"x":1}}',
  `${'['.repeat(32)}${']'.repeat(32)}`,
]
for (const text of accepted) {
  test(`${text.slice(0, 60)} reads as JSON.parse reads it`, () => {
    // The prototype is the one thing that differs, so plain copies are compared.
    const plain = JSON.parse(JSON.stringify(parseStrictJson(Buffer.from(text)))) as unknown
    assert.deepEqual(plain, JSON.parse(text))
  })
}

const refused: [name: string, text: string | Buffer, message: RegExp][] = [
  ['nothing', '', /Unexpected end at position 0/],
  ['blanks', '  ', /Unexpected end at position 2/],
  ['a cut object', '{"a":1', /Expected } at position 6/],
  ['a comma at the end', '{"a":1,}', /Expected a key at position 7/],
  ['a comma at an array end', '[1,]', /Unexpected character at position 3/],
  ['single quotes', "{'a':1}", /Expected a key/],
  ['a comment', '{}//x', /Unexpected text after the value at position 2/],
  ['NaN', 'NaN', /Unexpected character/],
  ['a leading zero', '01', /Unexpected text/],
  ['a leading plus', '+1', /Unexpected character/],
  ['a bare dot', '1.', /Unexpected text/],
  ['hexadecimal', '0x10', /Unexpected text/],
  ['a number out of range', '[1e999]', /number out of range at position 1/],
  ['a raw line end in a string', '"a\nb"', /Raw control character at position 2/],
  ['a raw NUL', '"a\0b"', /Raw control character/],
  ['an unknown escape', String.raw`"\x41"`, /Unknown escape/],
  ['a short \\u', String.raw`"\u12"`, /four hexadecimal digits/],
  ['a lone high surrogate', String.raw`"\ud800"`, /lone surrogate/],
  ['a lone low surrogate', String.raw`"\udc00"`, /lone surrogate/],
  ['surrogates in the wrong order', String.raw`"\udc00\ud800"`, /lone surrogate/],
  ['a lone surrogate in a key', String.raw`{"\ud800":1}`, /lone surrogate/],
  ['a duplicate key', '{"a":1,"a":1}', /duplicate key at position 7/],
  ['a duplicate key by escape', String.raw`{"a":1,"\u0061":1}`, /duplicate key/],
  ['a duplicate deep inside', '[{"a":{"b":1,"b":2}}]', /duplicate key/],
  ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', /duplicate key/],
  ['depth 33', `${'['.repeat(33)}${']'.repeat(33)}`, /deeper than 32/],
  ['100,000 arrays', '['.repeat(100_000), /deeper than 32/],
  ['too many values', `[${'0,'.repeat(60_000)}0]`, /Too many values/],
  ['a byte order mark', '\u{feff}{}', /byte order mark/],
  ['UTF-16', Buffer.from('{}', 'utf16le'), /Expected a key|Unexpected/],
  ['an overlong byte pair', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), /not valid UTF-8/],
  ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /not valid UTF-8/],
  ['the padding of an extended SHA-1', Buffer.from([0x7b, 0x7d, 0x80, 0x00, 0x00]), /not valid UTF-8/],
]
for (const [name, text, message] of refused) {
  test(`${name} is refused with its place and without its content`, () => {
    assert.throws(
      () => parseStrictJson(Buffer.from(text)),
      (error: unknown) => error instanceof StrictJsonError && message.test(error.message),
    )
  })
}

test('__proto__ and constructor are plain data of objects without a prototype', () => {
  const value = parseStrictJson(Buffer.from('{"__proto__":{"admin":true},"constructor":1}'))
  assert.equal(Object.getPrototypeOf(value), null)
  assert.deepEqual(Object.keys(value as object), ['__proto__', 'constructor'])
  assert.equal(({} as { admin?: unknown }).admin, undefined)
})

test('a body of 1 MiB is read in linear time', () => {
  const start = performance.now()
  parseStrictJson(Buffer.from(`{"a":"${'\\n'.repeat(500_000)}"}`))
  assert.throws(() => parseStrictJson(Buffer.from(`[${'"",'.repeat(300_000)}`)))
  assert.ok(performance.now() - start < 1500)
})
