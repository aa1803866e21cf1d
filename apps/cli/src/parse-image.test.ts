import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImagingError } from '@byoi/imaging'
import { parseChecksum, parseHeader, parseLocation, parseType } from './parse-image.ts'
import { UsageError } from './usage-error.ts'

const md5 = 'd41d8cd98f00b204e9800998ecf8427e'

test('a checksum is its type and its digest in lower case', () => {
  assert.deepEqual(parseChecksum(`MD5:${md5.toUpperCase()}`), { type: 'md5', value: md5 })
})

for (const text of [md5, `:${md5}`, 'md5:', `md5:${md5}0`, `sha256:${md5}`, `md5:${md5.slice(1)}g`]) {
  test(`"${text}" is wrong usage`, () => assert.throws(() => parseChecksum(text), UsageError))
}

const refused = [
  { what: 'checksum type crc32', code: 'SUMTYPE', parse: () => parseChecksum('crc32:00000000') },
  { what: 'checksum type toString', code: 'SUMTYPE', parse: () => parseChecksum('toString:00') },
  { what: 'image type iso', code: 'FORMAT', parse: () => parseType('iso') },
  { what: 'image type QCOW2', code: 'FORMAT', parse: () => parseType('QCOW2') },
]
for (const { what, code, parse } of refused) {
  test(`${what} is refused as ${code}, the disk untouched`, () => {
    assert.throws(
      parse,
      (error) => error instanceof ImagingError && error.code === code && error.disk === 'untouched',
    )
  })
}

const headers: [string, string, string][] = [
  ['Authorization: Bearer a:b', 'Authorization', 'Bearer a:b'],
  ['X-Empty:', 'X-Empty', ''],
  ['x:1 ', 'x', '1'],
]
for (const [text, key, value] of headers) {
  test(`header "${text}" is ${key} with value "${value}"`, () =>
    assert.deepEqual(parseHeader(text), { key, value }))
}

for (const text of ['', 'no colon', ': value', 'a b: c', 'a: b\r\nc: d', 'a: b\0']) {
  test(`header ${JSON.stringify(text)} is wrong usage, and the value is not shown`, () => {
    assert.throws(
      () => parseHeader(text),
      (error) => error instanceof UsageError && error.message === "Write a header as 'Name: value'.",
    )
  })
}

const locations: [string, boolean][] = [
  ['https://images.example.test/a.qcow2', false],
  ['HTTP://images.example.test/a', false],
  ['disk.img', true],
  ['/srv/a:b.img', true],
]
for (const [text, file] of locations) {
  test(`${text} is a ${file ? 'file' : 'URL'}`, () =>
    assert.deepEqual(parseLocation(text), { url: text, file }))
}

for (const text of ['ftp://images.example.test/a', 'file:///a', 'https://']) {
  test(`${text} is wrong usage`, () => assert.throws(() => parseLocation(text), UsageError))
}
