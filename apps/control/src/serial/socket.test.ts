import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, test, type TestContext } from 'node:test'
import { ovhSignature, type SerialMessage, serialProtocol, serialTicketPrefix } from '@byoi/contract'
import { sql } from 'kysely'
import { WebSocket as WsClient } from 'ws'
import { account, eventually } from '../control-plane.fixture.ts'
import { call, freshTimestamp, send } from '../http/http.fixture.ts'
import { type TestKey } from '../http/memory-ports.fixture.ts'
import {
  opened,
  openSerialBench,
  type SerialApi,
  type SerialBench,
  type SerialServer,
  serveApi,
} from './serial.fixture.ts'

const foreign = 'globex'
const readRule = { method: 'GET', path: '/byoi/server/*' } as const
const typeRule = { method: 'POST', path: '/byoi/server/*' } as const

let bench: SerialBench
before(async () => {
  bench = await openSerialBench()
})
after(async () => await bench.close())

const pathOf = (server: { name: string }, query = '') => `/1.0/byoi/server/${server.name}/serial${query}`

/** The headers of a signed GET. */
function signed(api: SerialApi, key: TestKey, target: string): Record<string, string> {
  const timestamp = freshTimestamp()
  const url = `http://127.0.0.1:${api.port}${target}`
  const { applicationSecret, consumerKey } = key
  return {
    'X-Ovh-Application': key.applicationKey,
    'X-Ovh-Consumer': consumerKey,
    'X-Ovh-Timestamp': timestamp,
    'X-Ovh-Signature': ovhSignature({
      applicationSecret,
      consumerKey,
      method: 'GET',
      url,
      body: '',
      timestamp,
    }),
  }
}

class Viewer {
  readonly socket: WsClient
  text = ''
  messages: SerialMessage[] = []
  closed: { code: number; reason: string } | null = null
  status: number | null = null

  constructor(socket: WsClient) {
    this.socket = socket
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.text += data.toString('latin1')
      else this.messages.push(JSON.parse(data.toString()) as SerialMessage)
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
    })
    socket.on('unexpected-response', (_request, response) => {
      this.status = response.statusCode ?? 0
      response.resume()
      socket.terminate()
    })
    socket.on('error', () => undefined)
  }

  get readonly(): boolean | undefined {
    return this.messages.find((each) => each.type === 'hello')?.readonly
  }

  get position(): number {
    return this.messages.findLast((each) => each.type === 'position')?.after ?? 0
  }

  sees = async (text: string) =>
    await eventually(`${JSON.stringify(text)} after ${JSON.stringify(this.text.slice(-100))}`, async () =>
      this.text.endsWith(text),
    )

  ends = async () => await eventually('the end of the connection', async () => this.closed)
}

function view(
  t: TestContext,
  api: SerialApi,
  key: TestKey,
  target: string,
  protocols: string[] = [],
): Viewer {
  const socket = new WsClient(`ws://127.0.0.1:${api.port}${target}`, protocols, {
    headers: signed(api, key, target),
  })
  t.after(() => socket.terminate())
  return new Viewer(socket)
}

describe("a server's console by WebSocket", { concurrency: 4 }, () => {
  test('shows what there was, then what comes, and takes what is typed', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const first = view(t, api, key, pathOf(server))
    await opened(server)
    server.line.say('before\r\n')
    await first.sees('before\r\n')
    const second = view(t, api, key, pathOf(server), [serialProtocol])
    await second.sees('before\r\n')
    server.line.say('after')
    for (const each of [first, second]) await each.sees('before\r\nafter')
    assert.equal(second.readonly, false)
    assert.equal(second.socket.protocol, serialProtocol)
    second.socket.send(Buffer.from('reboot\r'))
    await eventually('the input', async () => server.line.typed === 'reboot\r')
    assert.deepEqual(first.messages.filter((each) => each.type === 'state').at(-1), {
      type: 'state',
      state: 'open',
      message: null,
    })
    assert.doesNotMatch(api.log.join(''), /before|reboot/)
  })

  test('begins with the last 64 KiB', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const first = view(t, api, key, pathOf(server))
    await opened(server)
    server.line.say(Buffer.concat([Buffer.alloc(30_000, 'a'), Buffer.alloc(65_000, 'b'), Buffer.from('end')]))
    await first.sees('end')
    const second = view(t, api, key, pathOf(server))
    await second.sees('end')
    assert.equal(second.text, `${'a'.repeat(533)}${'b'.repeat(65_000)}end`)
  })

  test('goes on where a broken connection was, without a byte twice or missing', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const first = view(t, api, key, pathOf(server))
    await opened(server)
    server.line.say('one ')
    await first.sees('one ')
    await eventually('the position', async () => first.position > 0)
    first.socket.terminate()
    const other = view(t, api, key, pathOf(server))
    await other.sees('one ')
    server.line.say('two ')
    await other.sees('two ')
    const again = view(t, api, key, pathOf(server, `?after=${first.position}`))
    server.line.say('three')
    await again.sees('three')
    assert.equal(again.text, 'two three')
  })

  const rights = [
    { what: 'a key that may read and type', rules: [readRule, typeRule], query: '', readonly: false },
    { what: 'a key that may only read', rules: [readRule], query: '', readonly: true },
    {
      what: 'a key that may type and asks to read only',
      rules: [readRule, typeRule],
      query: '?readonly',
      readonly: true,
    },
    {
      what: 'a key for the console alone',
      rules: [{ method: 'GET', path: '/byoi/server/*/serial' } as const],
      query: '?readonly&after=5',
      readonly: true,
    },
  ]
  for (const { what, rules, query, readonly } of rights) {
    test(`${what} is told whether it may type, and held to it`, async (t) => {
      const api = await serveApi(bench, t)
      const server = await bench.addSerialServer()
      const viewer = view(t, api, await api.key(rules), pathOf(server, query))
      await eventually('the hello', async () => viewer.readonly !== undefined)
      assert.equal(viewer.readonly, readonly)
      await opened(server)
      await eventually('the state', async () =>
        viewer.messages.some((each) => each.type === 'state' && each.state === 'open'),
      )
      viewer.socket.send(Buffer.from('x'))
      if (readonly) {
        assert.equal((await viewer.ends()).code, 1008)
        assert.equal(server.line.typed, '')
      } else await eventually('the input', async () => server.line.typed === 'x')
    })
  }

  test('is refused to who may not see it, like every call, and to who asks wrongly', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const typist = await api.key([typeRule])
    const other = await api.key(undefined, foreign)
    const cases = [
      { what: "another account's server", key: other, target: pathOf(server), status: 404 },
      { what: 'an absent server', key, target: '/1.0/byoi/server/none.example/serial', status: 404 },
      { what: 'a malformed name', key, target: '/1.0/byoi/server/..%2fx/serial', status: 404 },
      { what: 'no rule for GET', key: typist, target: pathOf(server), status: 403 },
      { what: 'an unknown query', key, target: pathOf(server, '?after=x'), status: 400 },
    ]
    for (const { what, key, target, status } of cases) {
      const viewer = view(t, api, key, target)
      await eventually('an answer', async () => viewer.status)
      assert.equal(viewer.status, status, what)
    }
    const plain = await bench.addServer()
    const unsigned = new Viewer(new WsClient(`ws://127.0.0.1:${api.port}${pathOf(server)}`))
    await eventually('an answer', async () => unsigned.status)
    assert.equal(unsigned.status, 401)
    const none = await call(api, key, { target: pathOf(plain) })
    assert.deepEqual([none.status, none.json.errorCode], [409, 'NO_CONSOLE'])
    const http = await call(api, key, { target: pathOf(server) })
    assert.deepEqual([http.status, http.headers['upgrade']], [426, 'websocket'])
  })

  test('asks for an upgrade on other calls in vain: they are answered as ever', async (t) => {
    const api = await serveApi(bench, t)
    for (const upgrade of ['websocket', 'h2c']) {
      const headers = { Connection: 'Upgrade', Upgrade: upgrade }
      assert.equal((await send(api.port, 'GET', '/1.0/auth/time', headers)).status, 200)
      assert.equal((await send(api.port, 'GET', '/1.0/byoi/server/x/deployment', headers)).status, 401)
    }
  })

  test('a handshake that is none is answered, and its connection closed', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const headers = {
      ...signed(api, await api.key(), pathOf(server)),
      Host: `127.0.0.1:${api.port}`,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': 'short',
    }
    const socket = connect(api.port, '127.0.0.1')
    t.after(() => socket.destroy())
    let answer = ''
    socket.on('data', (data: Buffer) => (answer += data.toString('latin1')))
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`GET ${pathOf(server)} HTTP/1.1\r\n${lines.join('')}\r\n`)
    await once(socket, 'close')
    assert.match(answer, /^HTTP\/1\.1 400 /)
  })

  test('ends when its key is revoked', async (t) => {
    const api = await serveApi(bench, t, { heartbeatMs: 200 })
    const server = await bench.addSerialServer()
    const key = await api.key()
    const viewer = view(t, api, key, pathOf(server))
    await opened(server)
    await bench.ports.keys.revoke(key.applicationKey, {
      account,
      applicationKey: '',
      credentialId: 0,
      operator: true,
      address: '',
      queryId: '',
    })
    assert.equal((await viewer.ends()).code, 1008)
    const again = view(t, api, key, pathOf(server))
    await eventually('the refusal', async () => again.status === 403)
  })

  test('ends when the control plane stops, and the client is told to come again', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const viewer = view(t, api, await api.key(), pathOf(server))
    await opened(server)
    await api.app.close()
    assert.equal((await viewer.ends()).code, 1001)
  })

  test('lets a silent viewer go whose connection is dead, and its console with it', async (t) => {
    const api = await serveApi(bench, t, { heartbeatMs: 200 })
    const server = await bench.addSerialServer()
    const viewer = view(t, api, await api.key(), pathOf(server))
    await opened(server)
    const raw = (viewer.socket as unknown as { _socket: { pause(): void } })._socket
    raw.pause()
    await eventually('the console to be closed', async () => !server.line.isOpen, 60_000)
  })

  test('a viewer that does not read is cut off, and keeps nobody else waiting', async (t) => {
    const api = await serveApi(bench, t, { heartbeatMs: 600 })
    const server = await bench.addSerialServer()
    const key = await api.key()
    const slow = view(t, api, key, pathOf(server))
    const quick = view(t, api, key, pathOf(server))
    await opened(server)
    await eventually('both', async () => slow.readonly === false && quick.readonly === false)
    const raw = (slow.socket as unknown as { _socket: { pause(): void } })._socket
    raw.pause()
    for (let round = 0; round < 24; round += 1) {
      server.line.say(Buffer.alloc(64 * 1024, 'x'))
      await eventually('room', async () => quick.text.length >= (round + 1) * 32 * 1024)
    }
    server.line.say('END')
    await quick.sees('END')
    assert.ok(slow.text.length < quick.text.length)
    await eventually('the slow one to be gone', async () => {
      const { rows } = await sql`
        select id from serial_viewer
        where server_id = ${server.id} and seen_at > now() - interval '8 seconds'`.execute(bench.db)
      return rows.length === 1
    })
  })

  test('frames that are no input end it: text, and one that is too long', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const text = view(t, api, key, pathOf(server))
    await eventually('the hello', async () => text.readonly === false)
    text.socket.send('text')
    assert.equal((await text.ends()).code, 1003)
    const long = view(t, api, key, pathOf(server))
    await eventually('the hello', async () => long.readonly === false)
    long.socket.send(Buffer.alloc(64 * 1024 + 1))
    await long.ends()
    assert.equal(server.line.typed, '')
  })

  test('has room for sixteen viewers', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const key = await api.key()
    const viewers = Array.from({ length: 16 }, () => view(t, api, key, pathOf(server)))
    await eventually('all of them', async () => viewers.every((each) => each.readonly === false))
    const more = view(t, api, key, pathOf(server))
    await eventually('the refusal', async () => more.status === 429)
    viewers[0]?.socket.close()
    await viewers[0]?.ends()
    const next = view(t, api, key, pathOf(server))
    await eventually('the hello', async () => next.readonly === false)
  })
})

describe('a ticket', { concurrency: 3 }, () => {
  const ticketFor = async (api: SerialApi, key: TestKey, server: SerialServer, body = '') =>
    await call(api, key, {
      method: 'POST',
      target: `${pathOf(server)}/ticket`,
      body,
    })

  /** As a browser does: nothing but the URL and subprotocols. */
  const browser = (t: TestContext, api: SerialApi, server: SerialServer, ticket: unknown) => {
    const socket = new WebSocket(`ws://127.0.0.1:${api.port}${pathOf(server)}`, [
      serialProtocol,
      `${serialTicketPrefix}${String(ticket)}`,
    ])
    socket.binaryType = 'arraybuffer'
    t.after(() => socket.close())
    const seen = { text: '', hello: null as unknown, failed: false }
    socket.addEventListener('error', () => (seen.failed = true))
    socket.addEventListener('message', ({ data }) => {
      if (typeof data !== 'string') seen.text += Buffer.from(data as ArrayBuffer).toString('latin1')
      else if (seen.hello === null) seen.hello = JSON.parse(data)
    })
    return { socket, seen }
  }

  test('lets a browser look and type, once', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const answer = await ticketFor(api, await api.key(), server)
    assert.equal(answer.status, 200)
    assert.deepEqual([answer.json['expiresIn'], String(answer.json['ticket']).length], [30, 43])
    const { socket, seen } = browser(t, api, server, answer.json['ticket'])
    await opened(server)
    server.line.say('hello')
    await eventually('the text', async () => seen.text === 'hello')
    assert.equal(socket.protocol, serialProtocol)
    socket.send(Buffer.from('x'))
    await eventually('the input', async () => server.line.typed === 'x')
    const again = browser(t, api, server, answer.json['ticket'])
    await eventually('the refusal', async () => again.seen.failed)
    assert.doesNotMatch(api.log.join(''), new RegExp(String(answer.json['ticket'])))
  })

  test('that is for looking does not type', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const answer = await ticketFor(api, await api.key(), server, '{"readonly":true}')
    const { seen } = browser(t, api, server, answer.json['ticket'])
    await eventually('the hello', async () => seen.hello)
    assert.deepEqual(seen.hello, { type: 'hello', readonly: true })
  })

  test('is good for its server, its time and its key alone', async (t) => {
    const api = await serveApi(bench, t)
    const [server, other] = [await bench.addSerialServer(), await bench.addSerialServer()]
    const key = await api.key()
    const refused = async (of: SerialServer, ticket: unknown) => {
      const { seen } = browser(t, api, of, ticket)
      await eventually('the refusal', async () => seen.failed)
    }
    await refused(other, (await ticketFor(api, key, server)).json['ticket'])
    await refused(server, 'none')
    const late = (await ticketFor(api, key, server)).json['ticket']
    await bench.db
      .updateTable('serial_ticket')
      .set({ expires_at: new Date(0) })
      .execute()
    await refused(server, late)
    const revoked = (await ticketFor(api, key, server)).json['ticket']
    await bench.ports.keys.revoke(key.applicationKey, {
      account,
      applicationKey: '',
      credentialId: 0,
      operator: true,
      address: '',
      queryId: '',
    })
    await refused(server, revoked)
  })

  test('is refused for what its caller could not do, and counts as no change of the server', async (t) => {
    const api = await serveApi(bench, t, {
      rateLimits: {
        calls: { perSecond: 1e5, burst: 1e5 },
        changes: { perSecond: 0.001, burst: 2 },
        badSignatures: { perSecond: 1e5, burst: 1e5 },
      },
    })
    const server = await bench.addSerialServer()
    assert.equal((await ticketFor(api, await api.key([readRule]), server)).status, 403)
    assert.equal((await ticketFor(api, await api.key(undefined, foreign), server)).status, 404)
    assert.equal((await ticketFor(api, await api.key(), server, '{"more":1}')).status, 400)
    const key = await api.key()
    for (let times = 0; times < 5; times += 1) assert.equal((await ticketFor(api, key, server)).status, 200)
  })
})

describe('a recording by HTTP', { concurrency: 3 }, () => {
  const fetch = async (api: SerialApi, key: TestKey, id: string, query = '', accept = 'application/json') =>
    await call(api, key, {
      target: `/1.0/byoi/deployment/${id}/serial${query}`,
      headers: { Accept: accept },
    })

  test('is its bytes, or its text, from any position; to its owner alone', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addSerialServer()
    const id = await bench.deploy(server, { agent: '\u001b[31magent\u001b[0m\r\n', system: 'system\r\n' })
    await eventually('the recording', async () => (await bench.recorded(id)).endsWith('system\r\n'))
    const key = await api.key([{ method: 'GET', path: '/byoi/deployment/*' }])
    const raw = await fetch(api, key, id)
    assert.equal(raw.status, 200)
    assert.equal(raw.headers['content-type'], 'application/octet-stream')
    assert.equal(raw.text, '\u001b[31magent\u001b[0m\r\nsystem\r\n')
    assert.equal(raw.headers['x-byoi-serial-total'], String(raw.text.length))
    const text = await fetch(api, key, id, '', 'text/plain')
    assert.equal(text.headers['content-type'], 'text/plain; charset=utf-8')
    assert.equal(text.text, 'agent\nsystem\n')
    const tail = await fetch(api, key, id, '?from=-8')
    assert.deepEqual(
      [tail.text, tail.headers['x-byoi-serial-from']],
      ['system\r\n', String(raw.text.length - 8)],
    )
    assert.equal((await fetch(api, key, id, '?from=1.5')).status, 400)
    assert.equal((await fetch(api, key, id, '?FROM=1')).status, 400)
    assert.equal((await fetch(api, await api.key(undefined, foreign), id)).status, 404)
    assert.equal((await fetch(api, await api.key([typeRule]), id)).status, 403)
  })

  test('that never was is 404, with the reason', async (t) => {
    const api = await serveApi(bench, t)
    const server = await bench.addServer()
    const id = await server.start()
    const answer = await fetch(api, await api.key(), id)
    assert.deepEqual([answer.status, answer.json.errorCode], [404, 'NOT_RECORDED'])
    await server.forget()
  })
})
