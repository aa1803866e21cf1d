import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { makeCertificate } from './control-plane.fixture.ts'
import { connectTo } from './post-json.ts'

const skip =
  spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed (Debian: openssl)'
const never = new AbortController().signal

/** A connection, with a minute for an exchange, to a server that answers as `answer` says. */
async function connected(t: TestContext, answer: (response: ServerResponse) => void, withinMs = 60_000) {
  const certificate = makeCertificate()
  const server = createServer(certificate, (request, response) => {
    request.resume()
    request.on('end', () => answer(response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const connection = connectTo(url, certificate.cert, withinMs)
  t.after(() => {
    connection.close()
    server.close()
    server.closeAllConnections()
  })
  return connection
}

test('status, Retry-After and text of an answer come back', { skip }, async (t) => {
  const connection = await connected(t, (response) =>
    response.writeHead(409, { 'retry-after': '2' }).end('later'),
  )
  const answer = await connection.post('/x', {}, '{}', never)
  assert.deepEqual(answer, { status: 409, retryAfterMs: 2000, text: 'later' })
})

const sleepBlocking = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

const failures: {
  what: string
  answer: (response: ServerResponse) => void
  withinMs?: number
  says: RegExp
}[] = [
  { what: 'no answer', answer: () => undefined, withinMs: 200, says: /^No answer within 0\.2 s\.$/ },
  {
    what: 'an answer without an end',
    answer: (response) => response.writeHead(200).write('{'),
    withinMs: 200,
    says: /^No answer within 0\.2 s\.$/,
  },
  {
    what: 'an answer that lay unread while the process stood still',
    answer: (response) => response.end('{}', () => sleepBlocking(300)),
    withinMs: 200,
    says: /^No answer within 0\.2 s\.$/,
  },
  {
    what: 'an answer that breaks off',
    answer: (response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('{', () => response.destroy())
    },
    says: /aborted|ECONNRESET/,
  },
  {
    what: 'an answer of more than 4 MiB',
    answer: (response) => response.end(Buffer.alloc(4 * 1024 * 1024 + 1)),
    says: /^The answer is too long\.$/,
  },
]
for (const { what, answer, withinMs, says } of failures) {
  test(`${what} rejects`, { skip }, async (t) => {
    const connection = await connected(t, answer, withinMs)
    await assert.rejects(connection.post('/x', {}, '{}', never), { message: says })
  })
}
