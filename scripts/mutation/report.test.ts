import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interval, mutantLine } from './report.ts'
import { mutatedFiles } from './sandbox.ts'

test('the interval of a share is that of Wilson', () => {
  const rounded = (hits: number, trials: number) => interval(hits, trials).map((each) => each.toFixed(3))
  assert.deepEqual(rounded(85, 100), ['0.767', '0.907'])
  assert.deepEqual(rounded(0, 10), ['0.000', '0.278'])
  assert.deepEqual(rounded(10, 10), ['0.722', '1.000'])
})

test('a mutant is one line, with its place and its change', () => {
  const mutant = {
    id: '0',
    file: 'a.ts',
    line: 3,
    column: 7,
    operator: 'BlockStatement',
    original: '{\n  go()\n}',
    replacement: '',
  }
  assert.equal(mutantLine(mutant), 'a.ts:3:7 BlockStatement: { go() } -> (nothing)')
})

test('code that deployments run is mutated, and what is for tests is not', () => {
  const files = mutatedFiles('')
  assert.ok(files.includes('packages/imaging/src/decode/ova/xml.ts'))
  assert.ok(files.includes('packages/imaging/src/table/gpt.ts'))
  assert.deepEqual(
    files.filter((each) => /test|fixture/.test(each)),
    [],
  )
  assert.deepEqual(mutatedFiles('nothing of that name'), [])
})
