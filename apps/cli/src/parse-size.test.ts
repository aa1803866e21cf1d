import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSize } from './parse-size.ts'
import { UsageError } from './usage-error.ts'

const sizes: [string, number][] = [
  ['1', 1],
  ['4096', 4096],
  ['4096B', 4096],
  ['1K', 1024],
  ['1KiB', 1024],
  ['1kb', 1024],
  ['512M', 512 * 1024 ** 2],
  ['10G', 10 * 1024 ** 3],
  ['12GiB', 12 * 1024 ** 3],
  ['12 GiB', 12 * 1024 ** 3],
  ['1.5TiB', 1.5 * 1024 ** 4],
  ['1P', 1024 ** 5],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
]
for (const [text, bytes] of sizes) {
  test(`${text} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes))
}

for (const text of ['', '0', '0G', '-1', '1.5', '0.3K', '1X', '1GiBs', 'G', '1e3', '0x10', '8P', '12,5G']) {
  const legal = text === '8P' ? '9007199254740992' : text
  test(`"${legal}" is no size`, () => assert.throws(() => parseSize(legal), UsageError))
}
