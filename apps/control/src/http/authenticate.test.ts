import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AccessRule, ovhSignature } from '@byoi/contract'
import { call, freshTimestamp, send, startApi, type TestApi, type TestCall } from './http.fixture.ts'
import { addKey, addServer, allRules, view } from './memory-ports.fixture.ts'

const list = '/1.0/dedicated/server'
const own = '/1.0/dedicated/server/ns1.example.test/bringYourOwnImage'
const body = JSON.stringify({ URL: 'https://images.example.test/a.qcow2', type: 'qcow2' })

async function withKey(t: Parameters<typeof startApi>[0], config: Parameters<typeof startApi>[1] = {}) {
  const api = await startApi(t, config)
  addServer(api.ports, 'a', 'ns1.example.test')
  return { api, key: addKey(api.ports, 'a') }
}

const headerCases: [
  name: string,
  headers: NonNullable<TestCall['headers']>,
  status: number,
  errorCode: string,
][] = [
  ['no application key', { 'X-Ovh-Application': undefined }, 403, 'INVALID_KEY'],
  ['an empty application key', { 'X-Ovh-Application': '' }, 403, 'INVALID_KEY'],
  ['two application keys', { 'X-Ovh-Application': ['a', 'b'] }, 403, 'INVALID_KEY'],
  ['an unknown application key', { 'X-Ovh-Application': 'nobody' }, 403, 'INVALID_KEY'],
  ['no consumer key', { 'X-Ovh-Consumer': undefined }, 403, 'NOT_CREDENTIAL'],
  ['an empty consumer key', { 'X-Ovh-Consumer': '' }, 403, 'NOT_CREDENTIAL'],
  ['two consumer keys', { 'X-Ovh-Consumer': ['a', 'b'] }, 403, 'NOT_CREDENTIAL'],
  ['an unknown consumer key', { 'X-Ovh-Consumer': 'nobody' }, 403, 'NOT_CREDENTIAL'],
  ['no timestamp', { 'X-Ovh-Timestamp': undefined }, 401, 'NOT_AUTHENTICATED'],
  ['an empty timestamp', { 'X-Ovh-Timestamp': '' }, 401, 'NOT_AUTHENTICATED'],
  ['two timestamps', { 'X-Ovh-Timestamp': ['1', '2'] }, 401, 'NOT_AUTHENTICATED'],
  ['no signature', { 'X-Ovh-Signature': undefined }, 401, 'NOT_AUTHENTICATED'],
  ['an empty signature', { 'X-Ovh-Signature': '' }, 401, 'NOT_AUTHENTICATED'],
  ['two signatures', { 'X-Ovh-Signature': ['a', 'b'] }, 401, 'NOT_AUTHENTICATED'],
]
for (const [name, headers, status, errorCode] of headerCases) {
  test(`${name} is ${status} ${errorCode}`, async (t) => {
    const { api, key } = await withKey(t)
    const answer = await call(api, key, { target: list, headers })
    assert.deepEqual([answer.status, answer.json.errorCode], [status, errorCode])
  })
}

test('a call without any header of OVHcloud is told to login first, in both error shapes', async (t) => {
  const { api } = await withKey(t)
  const { status, json, headers } = await send(api.port, 'GET', list)
  assert.equal(status, 401)
  assert.equal(json.message, 'You must login first')
  assert.equal(json['class'], 'Client::Unauthorized')
  assert.equal(json['httpCode'], '401 Unauthorized')
  assert.ok(!('code' in json))
  assert.ok(Object.values(json.details ?? {}).every((value) => typeof value === 'string'))
  assert.match(String(headers['x-ovh-queryid']), /^byoi\.[0-9a-f]{24}$/)
  assert.equal(headers['access-control-allow-origin'], '*')
  assert.equal(headers['cache-control'], 'no-cache,no-store')
})

test("one application's consumer key does not work with another application", async (t) => {
  const { api, key } = await withKey(t)
  const other = addKey(api.ports, 'b')
  const { status, json } = await call(api, { ...key, consumerKey: other.consumerKey }, { target: list })
  assert.deepEqual([status, json.errorCode], [403, 'NOT_CREDENTIAL'])
})

const signatures: [name: string, change: (right: string) => string][] = [
  ['with one bit off', (right) => right.slice(0, -1) + (right.endsWith('0') ? '1' : '0')],
  [
    'in upper case',
    (right) =>
      `$1$${right
        .slice(3)
        .toUpperCase()
        .replaceAll(/^[0-9]+$/g, 'A')}`,
  ],
  ['without $1$', (right) => right.slice(3)],
  ['with $2$', (right) => `$2$${right.slice(3)}`],
  ['of 39 digits', (right) => right.slice(0, -1)],
  ['of 41 digits', (right) => `${right}0`],
]
for (const [name, change] of signatures) {
  test(`a signature ${name} is INVALID_SIGNATURE`, async (t) => {
    const { api, key } = await withKey(t)
    const timestamp = freshTimestamp()
    const url = `http://127.0.0.1:${api.port}${list}`
    const right = ovhSignature({ ...key, method: 'GET', url, body: '', timestamp })
    assert.equal((await call(api, key, { target: list, timestamp, signature: right })).status, 200)
    const { status, json } = await call(api, key, { target: list, timestamp, signature: change(right) })
    assert.deepEqual([status, json.errorCode], [400, 'INVALID_SIGNATURE'])
  })
}

test('an invalid signature is answered with what was hashed and without a secret', async (t) => {
  const { api, key } = await withKey(t)
  const { text, json } = await call(api, key, { method: 'POST', target: own, body, signedBody: `${body} ` })
  const details = json.details ?? {}
  assert.match(details['hashed'] ?? '', /^AS\+CK\+POST\+URL\+BODY\(\d+ bytes, sha1 [0-9a-f]{40}\)\+\d+$/)
  assert.ok(details['urls']?.includes(`http://127.0.0.1:${api.port}${own}`))
  assert.ok(!text.includes(key.applicationSecret) && !text.includes(key.consumerKey))
  assert.ok(!text.includes('images.example.test'))
})

const now = (): number => Math.floor(Date.now() / 1000)
const stamps: [name: string, stamp: () => string, errorCode: string | null][] = [
  ['4:58 old', () => String(now() - 298), null],
  ['4:58 ahead', () => String(now() + 298), null],
  ['5:02 old', () => String(now() - 302), 'QUERY_TIME_OUT'],
  ['5:02 ahead', () => String(now() + 302), 'QUERY_TIME_OUT'],
  ['0', () => '0', 'QUERY_TIME_OUT'],
  ['negative', () => '-1', 'QUERY_TIME_OUT'],
  ['2^31', () => String(2 ** 31), 'QUERY_TIME_OUT'],
  ['1e9', () => '1e9', 'QUERY_TIME_OUT'],
  ['with an inner blank', () => `${now()} 0`, 'QUERY_TIME_OUT'],
  ['with a leading zero', () => `0${now()}`, 'QUERY_TIME_OUT'],
  ['hexadecimal', () => `0x${now().toString(16)}`, 'QUERY_TIME_OUT'],
]
for (const [name, stamp, errorCode] of stamps) {
  test(`a timestamp ${name} is ${errorCode ?? 'accepted'}`, async (t) => {
    const { api, key } = await withKey(t)
    const { status, json } = await call(api, key, { target: list, timestamp: stamp() })
    assert.equal(status, errorCode === null ? 200 : 400)
    if (errorCode !== null) assert.equal(json.errorCode, errorCode)
  })
}

test('a signed POST is accepted once; equal GETs share a signature by design', async (t) => {
  const { api, key } = await withKey(t)
  const post = { method: 'POST', target: own, body, timestamp: freshTimestamp() }
  const [first, second] = await Promise.all([call(api, key, post), call(api, key, post)])
  assert.equal(first.status + second.status, 200 + 409)
  assert.equal([first, second].find((one) => one.status === 409)?.json.errorCode, 'QUERY_REPLAYED')
  assert.equal(api.ports.started.length, 1)
  const get = { target: list, timestamp: freshTimestamp() }
  assert.equal((await call(api, key, get)).status, 200)
  assert.equal((await call(api, key, get)).status, 200)
})

test('a DELETE whose signature was extended by a body changes nothing', async (t) => {
  const { api, key } = await withKey(t)
  await call(api, key, { method: 'POST', target: own, body })
  for (const junk of ['+junk', '{}', ' ']) {
    assert.equal((await call(api, key, { method: 'DELETE', target: own, body: junk })).status, 400)
  }
  assert.equal(api.ports.forgotten.length, 0)
})

const queries: [name: string, method: string, query: string, body: string][] = [
  ['a body that moved across the + into it', 'POST', `?x+${encodeURIComponent(body)}`, ''],
  ['any name, beside a good body', 'POST', '?x=1', body],
  ['nothing at all', 'POST', '?', body],
  ['any name', 'GET', '?x=1', ''],
]
for (const [name, method, query, sent] of queries) {
  test(`a query with ${name} on ${method} is refused`, async (t) => {
    const { api, key } = await withKey(t)
    const { status, json } = await call(api, key, { method, target: own + query, body: sent })
    assert.deepEqual([status, json.errorCode], [400, 'BAD_PARAMETERS'])
    assert.match(json.message ?? '', /in the query/)
    assert.equal(api.ports.started.length, 0)
  })
}

const urls: [name: string, url: (api: TestApi) => string, right: boolean][] = [
  ['with scheme and port as configured', (api) => `http://127.0.0.1:${api.port}${list}`, true],
  ['without the port', () => `http://127.0.0.1${list}`, true],
  ['with https, where a proxy ends TLS', () => `https://127.0.0.1${list}`, true],
  ['with the public base', () => `https://public.example.test/prefix${list}`, true],
  ['for another host', () => `http://localhost${list}`, false],
  ['for another port', (api) => `http://127.0.0.1:${api.port + 1}${list}`, false],
  ['with a trailing slash', (api) => `http://127.0.0.1:${api.port}${list}/`, false],
  ['with a percent code', (api) => `http://127.0.0.1:${api.port}${list.replace('r', '%72')}`, false],
  ['with ftp', () => `ftp://127.0.0.1${list}`, false],
]
for (const [name, url, right] of urls) {
  test(`a URL signed ${name} is ${right ? 'accepted' : 'INVALID_SIGNATURE'}`, async (t) => {
    const { api, key } = await withKey(t, { publicUrls: ['https://public.example.test/prefix/'] })
    const { status, json } = await call(api, key, { target: list, signedUrl: url(api) })
    assert.equal(status, right ? 200 : 400)
    if (!right) assert.equal(json.errorCode, 'INVALID_SIGNATURE')
  })
}

test('upper-case percent codes sent for lower-case ones signed are INVALID_SIGNATURE', async (t) => {
  const { api, key } = await withKey(t)
  const target = '/1.0/dedicated/server/ns1%2Eexample.test'
  assert.equal((await call(api, key, { target })).status, 200)
  const signedUrl = `http://127.0.0.1:${api.port}${target.toLowerCase()}`
  assert.equal((await call(api, key, { target, signedUrl })).json.errorCode, 'INVALID_SIGNATURE')
})

for (const target of ['//1.0/dedicated/server', '/1.0//dedicated/server', '/v1/dedicated/server']) {
  test(`${target} is the list of servers, signed as sent`, async (t) => {
    const { api, key } = await withKey(t)
    const { status, json } = await call(api, key, { target })
    assert.equal(status, 200)
    assert.deepEqual(json, ['ns1.example.test'])
  })
}

const names = [
  'ns2.example.test', // of another account
  'ns9.example.test', // of nobody
  'a'.repeat(10_000),
  '..%2fns1.example.test',
  '%2e%2e',
  'ns1%00',
  'ns1/../ns2.example.test',
  'ns1.example.test//x',
  'ns1.example.test;x',
  'ns1%2fbringYourOwnImage',
  'n%D1%951.example.test', // a Cyrillic letter
  'NS1.example.test',
  '%zz',
  '%252e',
  "ns1'--",
]
for (const method of ['GET', 'POST', 'DELETE']) {
  test(`${method} on a foreign, absent or malformed serviceName is one and the same 404`, async (t) => {
    const { api, key } = await withKey(t)
    addServer(api.ports, 'b', 'ns2.example.test')
    api.ports.views.set('ns2.example.test', view('d-foreign', 'ns2.example.test'))
    const seen = new Set<string>()
    for (const name of names) {
      const target = `/1.0/dedicated/server/${name}/bringYourOwnImage`
      const answer = await call(api, key, { method, target, body: method === 'POST' ? body : '' })
      assert.equal(answer.status, 404, name)
      const text = answer.text.replace(/serviceName = [a-z0-9.-]+/, 'serviceName')
      const headers = Object.keys(answer.headers).sort().join()
      seen.add(`${text} ${headers}`)
    }
    assert.equal(seen.size, 1, [...seen].join('\n'))
    assert.equal(api.ports.forgotten.length + api.ports.started.length, 0)
  })
}

const get = (path: string): AccessRule => ({ method: 'GET', path })
const rights: [name: string, rules: AccessRule[], method: string, target: string, granted: boolean][] = [
  ['GET only, doing POST', [get('/*')], 'POST', own, false],
  ['one server, used on its neighbour', [get('/dedicated/server/ns1*')], 'GET', `${list}/ns10`, false],
  ['everything below, used on the list', [get('/dedicated/server/*')], 'GET', list, false],
  ['everything below, used on a server', [get('/dedicated/server/*')], 'GET', own, true],
  ['the form of the command line', [get('/dedicated/server*')], 'GET', list, true],
  ['all', allRules, 'GET', list, true],
  ['none', [], 'GET', list, false],
]
for (const [name, rules, method, target, granted] of rights) {
  test(`a key with rules for ${name} is ${granted ? 'granted' : 'NOT_GRANTED_CALL'}`, async (t) => {
    const { api } = await withKey(t)
    addServer(api.ports, 'a', 'ns10')
    const key = addKey(api.ports, 'a', { rules })
    const { status, json } = await call(api, key, { method, target, body: method === 'POST' ? body : '' })
    assert.equal(status === 403, !granted)
    if (!granted) assert.equal(json.errorCode, 'NOT_GRANTED_CALL')
    assert.equal(api.ports.started.length, 0)
  })
}

for (const state of ['expired', 'revoked'] as const) {
  test(`a key ${state} while a deployment runs is INVALID_CREDENTIAL; the deployment goes on`, async (t) => {
    const { api, key } = await withKey(t)
    assert.equal((await call(api, key, { method: 'POST', target: own, body })).status, 200)
    const consumer = api.ports.consumers.get(key.consumerKey)
    if (consumer !== undefined) consumer.state = state
    for (const method of ['GET', 'DELETE']) {
      const { status, json } = await call(api, key, { method, target: own })
      assert.deepEqual([status, json.errorCode], [403, 'INVALID_CREDENTIAL'])
    }
    assert.equal(api.ports.views.get('ns1.example.test')?.state, 'open')
  })
}

test('too many failed authentications from an address are 429 and no longer looked up', async (t) => {
  const { api, key } = await withKey(t, {
    rateLimits: {
      calls: { perSecond: 1e5, burst: 1e5 },
      changes: { perSecond: 1e5, burst: 1e5 },
      badSignatures: { perSecond: 0.001, burst: 5 },
    },
  })
  let lookups = 0
  const { credentials } = api.ports
  api.ports.credentials = {
    ...credentials,
    findApplication: (name) => {
      lookups += 1
      return credentials.findApplication(name)
    },
  }
  const statuses: number[] = []
  for (let at = 0; at < 8; at++) {
    statuses.push((await call(api, key, { target: list, signature: `$1$${'0'.repeat(40)}` })).status)
  }
  assert.deepEqual(statuses, [400, 400, 400, 400, 400, 429, 429, 429])
  assert.equal(lookups, 5)
})

test('a key that calls too often is 429 with Retry-After; another key is served', async (t) => {
  const calls = { perSecond: 0.1, burst: 3 }
  const { api, key } = await withKey(t, {
    rateLimits: { calls, changes: calls, badSignatures: { perSecond: 1e5, burst: 1e5 } },
  })
  for (let at = 0; at < 3; at++) assert.equal((await call(api, key, { target: list })).status, 200)
  const { status, headers } = await call(api, key, { target: list })
  assert.equal(status, 429)
  assert.ok(Number(headers['retry-after']) >= 1)
  assert.equal((await call(api, addKey(api.ports, 'b'), { target: list })).status, 200)
})

test('changes of a server are limited; refused ones and those of other servers do not count', async (t) => {
  const { api, key } = await withKey(t, {
    rateLimits: {
      calls: { perSecond: 1e5, burst: 1e5 },
      changes: { perSecond: 0.01, burst: 2 },
      badSignatures: { perSecond: 1e5, burst: 1e5 },
    },
  })
  addServer(api.ports, 'a', 'ns3.example.test')
  const change = async (method: 'POST' | 'DELETE', name: string, body?: string) => {
    const target = `/1.0/dedicated/server/${name}/bringYourOwnImage`
    const { status } = await call(api, key, { method, target, ...(body === undefined ? {} : { body }) })
    return status
  }
  const image = '{"URL":"https://images.example.test/a.qcow2","type":"qcow2"}'
  for (let at = 0; at < 3; at++) assert.equal(await change('POST', 'ns1.example.test', `{"no":${at}}`), 400)
  assert.equal(await change('POST', 'ns1.example.test', image), 200)
  assert.equal(await change('DELETE', 'ns1.example.test'), 200)
  assert.equal(await change('POST', 'ns1.example.test', image.replace('a.qcow2', 'b.qcow2')), 429)
  assert.equal(await change('POST', 'ns3.example.test', image), 200)
})

test('while the database is away calls are 503 with Retry-After', async (t) => {
  const { api, key } = await withKey(t)
  api.ports.down = true
  const { status, json, headers } = await call(api, key, { target: list })
  assert.deepEqual([status, json.errorCode, headers['retry-after']], [503, 'UNAVAILABLE', '5'])
  assert.deepEqual((await send(api.port, 'GET', '/1.0/byoi/health')).json, { ready: false })
})

for (const target of ['/1.0/nope', '/1.0/', '/1.0', '/nope', '/1.0/auth/../auth/time', '/1.0/auth//time']) {
  test(`${target} is no call: 404 without authentication`, async (t) => {
    const { api } = await withKey(t)
    const { status, json } = await send(api.port, 'GET', target)
    assert.deepEqual([status, json.message], [404, 'Got an invalid (or empty) URL'])
  })
}
