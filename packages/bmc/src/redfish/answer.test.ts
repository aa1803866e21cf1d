import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recorded } from '../testing/recorded-bmc.ts'
import { answerOf, etagOf, retryAfter } from './answer.ts'

const odd = recorded('sushy/session_creation_headers.json') as Record<string, string>

/** Forms of ETags that BMCs were seen with: each is given back as it came. */
const etags = [
  { what: 'a weak one in single quotes', header: odd['ETag'], body: '{}', etag: `'W/"7dc5e2b9"'` },
  { what: "iDRAC 10's", header: `"\\"W/'gen-1'\\""`, body: '{}', etag: `"\\"W/'gen-1'\\""` },
  { what: 'one of a server that compresses', header: '"abc-gzip"', body: '{}', etag: '"abc-gzip"' },
  {
    what: 'one in the body only',
    header: undefined,
    body: '{"@odata.etag":"W/\\"gen-2\\""}',
    etag: 'W/"gen-2"',
  },
  { what: 'an empty one', header: '', body: '{"@odata.etag":""}', etag: null },
  { what: 'none', header: undefined, body: '{}', etag: null },
]

for (const { what, header, body, etag } of etags) {
  test(`an ETag is taken as it is: ${what}`, () => {
    const headers = header === undefined ? {} : { etag: header }
    assert.equal(etagOf(answerOf({ status: 200, headers, text: body })), etag)
  })
}

const now = Date.parse('2026-11-25T10:00:00Z')
const waits = [
  { value: '5', ms: 5000 },
  { value: '0', ms: 0 },
  { value: 'Wed, 25 Nov 2026 10:00:30 GMT', ms: 30_000 },
  { value: 'Wed, 25 Nov 2026 09:00:00 GMT', ms: 0 },
  { value: 'soon', ms: null },
  { value: '', ms: null },
  { value: undefined, ms: null },
]

for (const { value, ms } of waits) {
  test(`Retry-After ${JSON.stringify(value)} means ${ms} ms`, () => {
    assert.equal(retryAfter(value === undefined ? {} : { 'retry-after': value }, now), ms)
  })
}

const bodies = [
  { text: '', json: false, garbled: null },
  { text: '{"a":1}', json: true, garbled: null },
  { text: '[1]', json: false, garbled: /not a JSON object/ },
  { text: 'null', json: false, garbled: /not a JSON object/ },
  { text: '{"a":', json: false, garbled: /not valid JSON/ },
  { text: `{"a":${'['.repeat(31)}${']'.repeat(31)}}`, json: true, garbled: null },
  { text: `{"a":${'['.repeat(32)}${']'.repeat(32)}}`, json: false, garbled: /deeper than 32/ },
  { text: `{"a":"${'['.repeat(99)}\\"${'{'.repeat(99)}"}`, json: true, garbled: null },
]

for (const { text, json, garbled } of bodies) {
  test(`a body ${text.slice(0, 24)} is ${garbled === null ? 'read' : 'refused'}`, () => {
    const answer = answerOf({ status: 200, headers: {}, text })
    assert.equal(answer.json !== null, json)
    if (garbled === null) assert.equal(answer.garbled, null)
    else assert.match(answer.garbled ?? '', garbled)
  })
}

const refusals = [
  { text: 'Failed to save the value.', says: ['Failed to save the value.'] },
  { text: '<html>Bad Request</html>', says: [] },
  { text: '{"error":{"message":"no"}', says: [] },
]

for (const { text, says } of refusals) {
  test(`a refusal ${text} is ${says.length === 0 ? 'not shown' : 'shown as it is'}`, () => {
    const { messages } = answerOf({ status: 400, headers: {}, text })
    assert.deepEqual(
      messages.map((message) => message.text),
      says,
    )
  })
}
