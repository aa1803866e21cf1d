import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isGranted, isRulePath, parseAccessRule, pathMatches } from './access-rules.ts'

const server = '/dedicated/server'
const cases: [rule: string, path: string, covers: boolean][] = [
  ['/*', server, true],
  ['/*', '/me', true],
  [server, server, true],
  [server, `${server}/ns1`, false],
  [`${server}/*`, server, false],
  [`${server}/*`, `${server}/`, false],
  [`${server}/*`, `${server}/ns1`, true],
  [`${server}/*`, `${server}/ns1/bringYourOwnImage`, true],
  [`${server}/*/bringYourOwnImage`, `${server}/ns1/bringYourOwnImage`, true],
  [`${server}/*/bringYourOwnImage`, `${server}/ns1`, false],
  [`${server}/*/bringYourOwnImage`, `${server}/ns1/reboot`, false],
  [`${server}*`, server, true],
  [`${server}*`, `${server}/ns1`, true],
  [`${server}*`, `${server}Housing`, false],
  [`${server}/ns1*`, `${server}/ns1`, true],
  [`${server}/ns1*`, `${server}/ns1/bringYourOwnImage`, true],
  [`${server}/ns1*`, `${server}/ns10`, false],
  [`${server}/ns1*`, `${server}/ns10/bringYourOwnImage`, false],
  [`${server}/ns*.example`, `${server}/ns1.example`, true],
  [`${server}/ns*.example`, `${server}/ns1/x.example`, false],
  [`${server}/n.1`, `${server}/nx1`, false],
  ['/me*', '/me', true],
  ['/me*', '/me/api', true],
  ['/me*', '/member', false],
  ['/ME', '/me', false],
]
for (const [rule, path, covers] of cases) {
  test(`a rule on ${rule} ${covers ? 'covers' : 'does not cover'} ${path}`, () => {
    assert.equal(pathMatches(rule, path), covers)
  })
}

test('a right is for its method only', () => {
  assert.ok(isGranted([{ method: 'GET', path: '/*' }], 'GET', server))
  assert.ok(!isGranted([{ method: 'GET', path: '/*' }], 'POST', server))
  assert.ok(!isGranted([], 'GET', server))
})

const texts: [text: string, ok: boolean][] = [
  [`GET ${server}*`, true],
  ['DELETE /*', true],
  ['PATCH /x', false],
  ['get /x', false],
  ['GET x', false],
  ['GET', false],
  [`GET /${'*/'.repeat(9)}`, false],
]
for (const [text, ok] of texts) {
  test(`${text} is ${ok ? 'a' : 'no'} rule`, () => assert.equal(parseAccessRule(text) !== null, ok))
}

test('many wildcards against a long path end at once', () => {
  const rule = `/${'*a'.repeat(8)}b`
  assert.ok(isRulePath(rule))
  const start = performance.now()
  assert.equal(pathMatches(rule, `/${'a'.repeat(253)}`), false)
  assert.ok(performance.now() - start < 1000)
})
