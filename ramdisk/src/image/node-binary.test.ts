import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { reduceIcuData } from './icu.ts'
import { smallNode } from './node-binary.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-node-'))
after(() => rmSync(directory, { recursive: true }))
const path = join(directory, 'node')

// What the agent, its libraries and Node itself do with ICU, and what people read in a log.
const same = [
  `process.version`,
  `new Intl.NumberFormat('en-US', { style: 'currency', currency: 'EUR' }).format(1234567.8)`,
  `new Intl.DateTimeFormat('en-US', { dateStyle: 'full', timeZone: 'Europe/Berlin' }).format(0)`,
  `new Date(0).toLocaleString('en-US', { timeZone: 'UTC' })`,
  `['b', 'a', 'ä', 'B'].sort(new Intl.Collator('en').compare)`,
  `['b', 'a', 'ä', 'B'].sort((a, b) => a.localeCompare(b))`,
  `new Intl.PluralRules('en').select(1)`,
  `new Intl.ListFormat('en').format(['a', 'b'])`,
  `new Intl.RelativeTimeFormat('en').format(-1, 'day')`,
  `new URL('http://bücher.example/').host`,
  `new URL('http://faß.ÄÖ.example/').host`,
  `new TextDecoder('utf-16le').decode(new Uint8Array([0xe4, 0]))`,
  `new TextDecoder('latin1').decode(new Uint8Array([0xe4]))`,
  `new TextDecoder('utf-8').decode(new Uint8Array([0xc3, 0xa4]))`,
  `['ﬁ', 'Å', '한'].map((each) => ['NFC', 'NFD', 'NFKC', 'NFKD'].map((form) => each.normalize(form)))`,
  `['İ', 'ẞ'].map((each) => [each.toLowerCase(), each.toUpperCase()])`,
  String.raw`[/\p{L}/u, /\p{Script=Greek}/u, /\p{Lu}/v].map((each) => each.test('Ω'))`,
  `require('node:tls').rootCertificates.length`,
  `require('node:crypto').createHash('sha256').update('a').digest('hex')`,
]
const german = `new Intl.NumberFormat('de-DE').format(1234.5)`

/** What each expression gives in another Node, one process for all. */
function evaluate(node: string, expressions: string[]): unknown[] {
  const code = `JSON.stringify([${expressions.join(', ')}])`
  return JSON.parse(execFileSync(node, ['-p', code]).toString()) as unknown[]
}

const skip = process.arch === 'x64' ? false : 'the ramdisk is for x64'

describe('The Node of the ramdisk', { skip }, () => {
  let small: unknown[]
  let whole: unknown[]
  before(async () => {
    writeFileSync(path, await smallNode(), { mode: 0o755 })
    small = evaluate(path, [...same, german])
    whole = evaluate(process.execPath, same)
  })

  test('is less than two thirds of the one that it is made of', () => {
    assert.ok(readFileSync(path).length < (readFileSync(process.execPath).length * 2) / 3)
  })

  for (const [index, code] of same.entries())
    test(`gives the same as the whole one for ${code}`, () => assert.deepEqual(small[index], whole[index]))

  test('has no other languages: they are written as English is', () => {
    assert.equal(small.at(-1), '1,234.5')
  })

  test('is refused where the binary is none that is known', () => {
    assert.throws(() => reduceIcuData(Buffer.alloc(1000)), /holds 0 ICU data packages/)
    const twice = Buffer.concat([readFileSync(process.execPath), readFileSync(process.execPath)])
    assert.throws(() => reduceIcuData(twice), /holds 2 ICU data packages/)
    assert.throws(() => reduceIcuData(readFileSync(path)), /not those that are known/)
  })
})
