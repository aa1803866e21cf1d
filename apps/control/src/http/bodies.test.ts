import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { call, startApi } from './http.fixture.ts'
import { addKey, addServer } from './memory-ports.fixture.ts'

const target = '/1.0/dedicated/server/ns1.example.test/bringYourOwnImage'
const good = { URL: 'https://images.example.test/a.qcow2', type: 'qcow2' }
const post = { method: 'POST', target }

const refusedBodies: [name: string, body: string | Buffer][] = [
  ['an empty body', ''],
  ['a cut object', '{'],
  ['an array', '[]'],
  ['null', 'null'],
  ['a string', '"x"'],
  ['trailing bytes', `${JSON.stringify(good)} x`],
  ['a second value', `${JSON.stringify(good)}{}`],
  ['a byte order mark', `\u{feff}${JSON.stringify(good)}`],
  ['100,000 nested arrays', '['.repeat(100_000)],
  ['100,000 nested objects', '{"a":'.repeat(100_000)],
  ['URL twice', '{"URL":"https://a.test/","URL":"https://b.test/","type":"raw"}'],
  [
    'a duplicate deep inside',
    '{"URL":"https://a.test/","type":"raw","configdrive":{"enable":true,"enable":false}}',
  ],
  ['__proto__', '{"URL":"https://a.test/","type":"raw","__proto__":{"admin":true}}'],
  ['constructor', '{"URL":"https://a.test/","type":"raw","constructor":{"prototype":{"admin":true}}}'],
  ['a lone surrogate', String.raw`{"URL":"https://a.test/\ud800","type":"raw"}`],
  ['invalid UTF-8', Buffer.concat([Buffer.from('{"URL":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])],
  ['an unknown member', JSON.stringify({ ...good, url: 'x' })],
]

for (const [name, body] of refusedBodies) {
  test(`POST with ${name} is 400 at once, and starts nothing`, async (t) => {
    const api = await startApi(t)
    const key = addKey(api.ports, 'a')
    addServer(api.ports, 'a', 'ns1.example.test')
    const { status, json } = await call(api, key, { ...post, body })
    assert.equal(status, 400)
    assert.equal(json.errorCode, 'BAD_PARAMETERS')
    assert.equal(api.ports.started.length, 0)
    assert.equal(({} as { admin?: unknown }).admin, undefined)
  })
}

test('a body of 10 MiB is 413 whether its length is told or not', async (t) => {
  const api = await startApi(t)
  const key = addKey(api.ports, 'a')
  const body = Buffer.alloc(10 * 1024 * 1024, 0x20)
  const head = `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Ovh-Application: ${key.applicationKey}\r\n`
  const told = await firstLine(api.port, Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`))
  assert.match(told, /^HTTP\/1\.1 413 /)
  const chunk = Buffer.concat([Buffer.from('200000\r\n'), body.subarray(0, 0x20_0000), Buffer.from('\r\n')])
  const untold = await firstLine(
    api.port,
    Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunk]),
  )
  assert.match(untold, /^HTTP\/1\.1 413 /)
})

test('more headers than anybody needs are refused', async (t) => {
  const api = await startApi(t)
  const lines = Array.from({ length: 500 }, (_, index) => `X-${index}: y\r\n`).join('')
  assert.match(
    await firstLine(api.port, Buffer.from(`GET ${target} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`)),
    /^HTTP\/1\.1 400 /,
  )
  const large = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: x\r\nX-Y: ${'y'.repeat(70_000)}\r\n\r\n`)
  assert.match(await firstLine(api.port, large), /^HTTP\/1\.1 431 /)
})

test('a head that does not end is given up after the time for it', async (t) => {
  const api = await startApi(t, { headTimeoutMs: 300 })
  const answer = await firstLine(api.port, Buffer.from(`GET ${target} HTTP/1.1\r\nHost: x\r\nX-Slow:`))
  assert.match(answer, /^HTTP\/1\.1 408 /)
})

test('a body that does not end is given up after the time for it', async (t) => {
  const api = await startApi(t, { headTimeoutMs: 300, requestTimeoutMs: 600 })
  const head = `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`
  assert.match(await firstLine(api.port, Buffer.from(head)), /^HTTP\/1\.1 408 /)
})

const types: [name: string, headers: Record<string, string | undefined>, status: number][] = [
  ['application/json', { 'Content-Type': 'application/json' }, 200],
  ['application/json;charset=utf-8', { 'Content-Type': 'application/json;charset=utf-8' }, 200],
  ['application/json; charset="UTF-8"', { 'Content-Type': 'application/json; charset="UTF-8"' }, 200],
  ['no Content-Type', { 'Content-Type': undefined }, 415],
  ['text/plain', { 'Content-Type': 'text/plain' }, 415],
  ['charset utf-16', { 'Content-Type': 'application/json; charset=utf-16' }, 415],
  ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }, 415],
  ['no media type', { 'Content-Type': 'json' }, 415],
  ['Content-Encoding gzip', { 'Content-Encoding': 'gzip' }, 415],
]
for (const [name, headers, expected] of types) {
  test(`a body with ${name} is ${expected}`, async (t) => {
    const api = await startApi(t)
    const key = addKey(api.ports, 'a')
    addServer(api.ports, 'a', 'ns1.example.test')
    const { status } = await call(api, key, { ...post, body: JSON.stringify(good), headers })
    assert.equal(status, expected)
    assert.equal(api.ports.started.length, expected === 200 ? 1 : 0)
  })
}

test('JSON as type without a body is fine on every method, as npm ovh sends it', async (t) => {
  const api = await startApi(t)
  const key = addKey(api.ports, 'a')
  addServer(api.ports, 'a', 'ns1.example.test')
  const headers = { 'Content-Type': 'application/json', 'Content-Length': '0' }
  assert.equal((await call(api, key, { target: '/1.0/dedicated/server', headers })).status, 200)
  assert.equal((await call(api, key, { method: 'DELETE', target, headers })).status, 404)
  assert.equal((await call(api, key, { method: 'POST', target: '/1.0/auth/logout', headers })).status, 200)
})

for (const method of ['GET', 'HEAD', 'DELETE']) {
  test(`a body on ${method} is 400 before authentication`, async (t) => {
    const api = await startApi(t)
    const { status, json } = await call(
      api,
      { applicationKey: 'nobody', applicationSecret: 'x', consumerKey: 'y' },
      { method, target, body: '{}' },
    )
    assert.equal(status, 400)
    // An answer to HEAD has no body.
    if (method !== 'HEAD') assert.match(json.details?.['cause'] ?? '', /has no body/)
  })
}

/** Writes bytes as they are and reads the answer's first line. */
function firstLine(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let seen = ''
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1')
      if (!seen.includes('\r\n')) return
      socket.destroy()
      resolve(seen.split('\r\n')[0] ?? '')
    })
    // The server may close while we still write; what it answered before is what counts.
    socket.on('error', () => undefined)
    socket.on('close', () => reject(new Error(`closed without an answer: ${seen}`)))
  })
}
