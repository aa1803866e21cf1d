import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SolEscape } from './escape.ts'

for (const { input, output, what } of [
  { what: 'plain text stays', input: ['ls ~/x\r'], output: 'ls ~/x\r' },
  { what: 'the first tilde is doubled', input: ['~.'], output: '~~.' },
  { what: 'a tilde after CR is doubled', input: ['a\r~.'], output: 'a\r~~.' },
  { what: 'a tilde after LF is doubled', input: ['a\n~B'], output: 'a\n~~B' },
  { what: 'input may be cut between line end and tilde', input: ['a\r', '~.'], output: 'a\r~~.' },
  { what: 'only the first of several is doubled', input: ['~~~.'], output: '~~~~.' },
  { what: 'a tilde within a line stays', input: ['a', '~.'], output: 'a~.' },
  { what: 'control characters stay', input: ['\r~\u001a', '\r~\u0018'], output: '\r~~\u001a\r~~\u0018' },
]) {
  test(what, () => {
    const escape = new SolEscape()
    const encoded = input.map((each) => escape.encode(Buffer.from(each)))
    assert.equal(Buffer.concat(encoded).toString(), output)
  })
}
