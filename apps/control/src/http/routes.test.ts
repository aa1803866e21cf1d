import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ApiError, ByoiClient, type DeploymentView, Secret } from '@byoi/contract'
import { call, send, startApi, type TestApi } from './http.fixture.ts'
import { addKey, addServer, type TestKey, view } from './memory-ports.fixture.ts'

const name = 'ns1.example.test'
const own = `/1.0/dedicated/server/${name}/bringYourOwnImage`
const good = { URL: 'https://images.example.test/a.qcow2?token=query-canary', type: 'qcow2' }

async function withServer(t: Parameters<typeof startApi>[0], config: Parameters<typeof startApi>[1] = {}) {
  const api = await startApi(t, config)
  addServer(api.ports, 'a', name)
  return { api, key: addKey(api.ports, 'a') }
}

const status = (expected: number) => (error: unknown) =>
  error instanceof ApiError && error.status === expected

const clientOf = (api: TestApi, key: TestKey, endpoint = `http://127.0.0.1:${api.port}/1.0`): ByoiClient =>
  new ByoiClient({
    endpoint,
    applicationKey: key.applicationKey,
    applicationSecret: new Secret(key.applicationSecret),
    consumerKey: new Secret(key.consumerKey),
  })

test('/auth/time is a bare integer for anybody', async (t) => {
  const { api } = await withServer(t)
  const { status, text } = await send(api.port, 'GET', '/1.0/auth/time')
  assert.equal(status, 200)
  assert.match(text, /^[0-9]{10}$/)
})

test('a key can ask what it is without a rule for it', async (t) => {
  const { api } = await withServer(t)
  const key = addKey(api.ports, 'a', { rules: [{ method: 'GET', path: '/x' }] })
  const credential = await call(api, key, { target: '/1.0/auth/currentCredential' })
  assert.equal(credential.json['status'], 'validated')
  assert.deepEqual(credential.json['rules'], [{ method: 'GET', path: '/x' }])
  const details = await call(api, key, { target: '/1.0/auth/details' })
  assert.equal(details.json['account'], 'a')
  assert.ok(!(credential.text + details.text).includes('canary'))
})

test('after logout the key is not valid', async (t) => {
  const { api, key } = await withServer(t)
  assert.equal((await call(api, key, { method: 'POST', target: '/1.0/auth/logout' })).text, 'null')
  assert.equal((await call(api, key, { target: '/1.0/auth/details' })).json.errorCode, 'INVALID_CREDENTIAL')
})

test('a server has the members of DedicatedWithIAM with their JSON types', async (t) => {
  const { api, key } = await withServer(t)
  addServer(api.ports, 'b', 'ns2.example.test')
  const client = clientOf(api, key)
  assert.deepEqual(await client.servers(), [name])
  const server = await client.server(name)
  assert.equal(server.name, name)
  assert.equal(typeof server.serverId, 'number')
  assert.equal(server.monitoring, false)
  assert.equal(server.bootId, null)
  assert.deepEqual([server.state, server.os, server.powerState], ['ok', 'none_64', 'poweron'])
  assert.equal(Object.keys(server).length, 25)
})

test('POST, GET and DELETE answer as OVHcloud: null, the four members of ByoiStatus, null', async (t) => {
  const { api, key } = await withServer(t)
  const none = await call(api, key, { target: own })
  assert.equal(none.status, 404)
  assert.equal(none.json.message, 'Server is not being installed or reinstalled at the moment')
  const post = await call(api, key, { method: 'POST', target: own, body: JSON.stringify(good) })
  assert.deepEqual([post.status, post.text], [200, 'null'])
  assert.match(String(post.headers['content-type']), /^application\/json/)
  const get = await call(api, key, { target: own })
  assert.deepEqual(get.json, { status: 'doing', message: 'starting', checksum: null, servername: name })
  const again = await call(api, key, { method: 'POST', target: own, body: JSON.stringify(good) })
  assert.equal(again.status, 409)
  assert.ok(again.json.message?.includes(api.ports.views.get(name)?.id ?? '?'))
  const gone = await call(api, key, { method: 'DELETE', target: own })
  assert.deepEqual([gone.status, gone.text], [200, 'null'])
  assert.equal((await call(api, key, { target: own })).status, 404)
  assert.equal((await call(api, key, { method: 'DELETE', target: own })).status, 404)
  const [started] = api.ports.started
  assert.equal(started?.by.account, 'a')
  assert.equal(started?.by.applicationKey, key.applicationKey)
  assert.equal(started?.by.address, '127.0.0.1')
})

const failure = {
  code: 'SUM',
  message: 'Bad md5 for downloaded file, got: 1 while expecting 2.',
  cause: 'c',
  remedy: 'r',
} as const
const ended = '2026-01-12T09:40:04.000Z'
const states: [name: string, change: Partial<DeploymentView>, told: string | null, message: string][] = [
  ['waiting for the agent', { phase: 'await-agent' }, 'doing', 'starting'],
  ['writing', { phase: 'write', percent: 41.9 }, 'doing', 'downloading and writing the image: 41 %'],
  ['writing without a length', { phase: 'write' }, 'doing', 'downloading and writing the image'],
  ['on hold', { state: 'hold', hold: 'power' }, 'doing', 'on hold: an operator must look at the server'],
  ['done', { state: 'done', checksum: 'ab', endedAt: ended }, 'done', 'done'],
  ['failed', { state: 'error', error: failure, endedAt: ended }, 'error', failure.message],
  ['being cancelled', { state: 'cancelled' }, 'doing', 'cancelling'],
  ['cancelled', { state: 'cancelled', endedAt: ended }, null, ''],
  ['going into rescue', { kind: 'rescue' }, 'doing', 'cancelling'],
]
for (const [state, change, told, message] of states) {
  test(`a deployment ${state} reads ${told ?? '404'} ${message}`, async (t) => {
    const { api, key } = await withServer(t)
    api.ports.views.set(name, view('d-1', name, change))
    const answer = await call(api, key, { target: own })
    assert.equal(answer.status, told === null ? 404 : 200)
    if (told === null) return
    assert.deepEqual([answer.json['status'], answer.json['message']], [told, message])
    assert.equal(answer.json['checksum'], change.checksum ?? null)
  })
}

for (const diskGroupId of [2, 99]) {
  test(`disk group ${diskGroupId}, which the server does not have, is 400`, async (t) => {
    const { api, key } = await withServer(t)
    const { status, json } = await call(api, key, {
      method: 'POST',
      target: own,
      body: JSON.stringify({ ...good, diskGroupId }),
    })
    assert.equal(status, 400)
    assert.match(json.message ?? '', /diskGroupId/)
  })
}

test("a catalogue's error comes with its code, cause and remedy", async (t) => {
  const { api, key } = await withServer(t)
  await assert.rejects(
    clientOf(api, key).deploy(name, { ...good, type: 'vmdk' as 'raw' }),
    (error: unknown) =>
      error instanceof ApiError &&
      error.status === 400 &&
      error.errorCode === 'FORMAT' &&
      error.message === 'Bad format image, expected: qcow2, raw.' &&
      error.reason !== null &&
      error.remedy !== null &&
      error.queryId?.startsWith('byoi.') === true,
  )
})

test('OPTIONS is answered for pages of other origins', async (t) => {
  const { api } = await withServer(t)
  const { status, headers } = await send(api.port, 'OPTIONS', own)
  assert.equal(status, 200)
  assert.match(String(headers['access-control-allow-headers']), /X-Ovh-Signature/)
  assert.match(String(headers['access-control-allow-methods']), /DELETE/)
})

test('a deployment is shown in full to its account and to operators, to nobody else', async (t) => {
  const { api, key } = await withServer(t)
  const operator = addKey(api.ports, 'ops', { operator: true })
  const stranger = addKey(api.ports, 'b')
  api.ports.views.set(name, view('d-1', name))
  for (const who of [key, operator]) {
    assert.equal((await clientOf(api, who).deployment(name)).id, 'd-1')
    assert.equal((await clientOf(api, who).deploymentById('d-1')).serviceName, name)
  }
  const paths = [`/byoi/server/${name}/deployment`, '/byoi/deployment/d-1', '/byoi/deployment/d-1/events']
  for (const path of paths) {
    assert.equal((await call(api, stranger, { target: `/1.0${path}` })).status, 404)
  }
  const absent = await call(api, key, { target: '/1.0/byoi/deployment/d-2' })
  assert.equal(absent.status, 404)
})

const event = (id: number, change: Partial<DeploymentView> = {}) => ({ id, view: view('d-1', name, change) })

test('events come in order, resume after an id, and end with the deployment', async (t) => {
  const { api, key } = await withServer(t)
  api.ports.views.set(name, view('d-1', name))
  api.ports.eventsOf.set('d-1', [event(1), event(2), event(3, { state: 'done', endedAt: ended })])
  const client = clientOf(api, key)
  const read = async (after: number) => {
    const ids: number[] = []
    for await (const one of client.events('d-1', { after })) ids.push(one.id)
    return ids
  }
  assert.deepEqual(await read(0), [1, 2, 3])
  assert.deepEqual(await read(2), [3])
  const bad = await call(api, key, {
    target: '/1.0/byoi/deployment/d-1/events',
    headers: { 'Last-Event-ID': 'x' },
  })
  assert.equal(bad.status, 400)
})

test('a silent event stream carries comments, and ends when its key is revoked', async (t) => {
  const { api, key } = await withServer(t, { heartbeatMs: 20 })
  api.ports.views.set(name, view('d-1', name))
  api.ports.eventsOf.set('d-1', [event(1)])
  const reading = call(api, key, { target: '/1.0/byoi/deployment/d-1/events' })
  let beats = 0
  const { credentials } = api.ports
  api.ports.credentials = {
    ...credentials,
    findConsumer: async (consumerKey) => {
      beats += 1
      const consumer = api.ports.consumers.get(key.consumerKey)
      if (beats === 4 && consumer !== undefined) consumer.state = 'revoked'
      return credentials.findConsumer(consumerKey)
    },
  }
  const { status, text, headers } = await reading
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.match(text, /^id: 1\nevent: deployment\ndata: \{.*\}\n\n(: alive\n\n){3,}$/)
})

test('a client that goes away ends its watch', async (t) => {
  const { api, key } = await withServer(t)
  api.ports.views.set(name, view('d-1', name))
  const stopped = new Promise<void>((resolve) => {
    api.ports.deployments.watch = async function* (_id, _after, signal) {
      yield event(1)
      await new Promise((end) => signal.addEventListener('abort', end, { once: true }))
      resolve()
    }
  })
  for await (const one of clientOf(api, key).events('d-1')) {
    assert.equal(one.id, 1)
    break
  }
  await stopped
})

test('an open event stream does not keep the server from stopping', async (t) => {
  const { api, key } = await withServer(t)
  api.ports.views.set(name, view('d-1', name))
  api.ports.eventsOf.set('d-1', [event(1)])
  const seen: number[] = []
  for await (const one of clientOf(api, key).events('d-1')) {
    seen.push(one.id)
    await api.app.close()
  }
  assert.deepEqual(seen, [1])
})

test('an operator deploys, follows and forgets on the server of any account', async (t) => {
  const { api } = await withServer(t)
  const operator = addKey(api.ports, 'ops', { operator: true })
  assert.deepEqual((await call(api, operator, { target: '/1.0/dedicated/server' })).json, [name])
  const post = { method: 'POST', target: own, body: JSON.stringify(good) } as const
  assert.equal((await call(api, operator, post)).status, 200)
  assert.equal((await call(api, operator, { target: own })).json.status, 'doing')
  assert.equal((await call(api, operator, { method: 'DELETE', target: own })).status, 200)
})

test('equal changes of two programs with one key in one second are both carried out', async (t) => {
  const { api } = await withServer(t)
  const operator = addKey(api.ports, 'ops', { operator: true })
  const body = { account: 'a', rules: [{ method: 'GET' as const, path: '/*' }] }
  const made = await Promise.all([1, 2, 3].map(() => clientOf(api, operator).createKey(body)))
  assert.equal(new Set(made.map(({ applicationKey }) => applicationKey)).size, 3)
})

test('an operator resolves a hold, once there is one', async (t) => {
  const { api, key } = await withServer(t)
  const operator = clientOf(api, addKey(api.ports, 'ops', { operator: true }))
  api.ports.views.set(name, view('d-1', name))
  await assert.rejects(operator.resolveHold('d-1', 'continue'), status(409))
  api.ports.views.set(name, view('d-1', name, { state: 'hold' }))
  await assert.rejects(operator.resolveHold('d-1', 'guess' as 'fail'), status(400))
  await operator.resolveHold('d-1', 'continue')
  await assert.rejects(operator.resolveHold('d-2', 'continue'), status(404))
  await assert.rejects(clientOf(api, key).resolveHold('d-1', 'continue'), status(403))
})

const fresh = {
  serviceName: 'ns7.example.test',
  account: 'a',
  boot: 'uefi',
  diskGroups: [{ diskGroupId: 1, disks: [{ serial: 'S1', size: 2 ** 34 }] }],
  bmc: { kind: 'simulated', settings: { fault: false } },
} as const

test('an operator adds, lists, shows and removes servers', async (t) => {
  const { api } = await withServer(t)
  const operator = clientOf(api, addKey(api.ports, 'ops', { operator: true }))
  const body = structuredClone(fresh) as unknown as Parameters<typeof operator.addServer>[0]
  await operator.addServer(body)
  await assert.rejects(operator.addServer(body), status(409))
  assert.deepEqual(
    (await operator.listServers()).map((server) => server.serviceName),
    [name, 'ns7.example.test'],
  )
  assert.equal((await operator.showServer(name)).bmc.kind, 'simulated')
  assert.deepEqual(await operator.checkServer(name), {
    identity: null,
    power: 'on',
    bootDevice: 'disk',
    problems: [],
  })
  await assert.rejects(operator.checkServer('nobody'), status(404))
  api.ports.views.set(name, view('d-1', name))
  await assert.rejects(operator.removeServer(name), status(409))
  await operator.removeServer('ns7.example.test')
  await assert.rejects(operator.showServer('ns7.example.test'), status(404))
})

const badServers: [name: string, change: object][] = [
  ['a name in upper case', { serviceName: 'NS1' }],
  ['a name that begins with a dash', { serviceName: '-ns1' }],
  ['an unknown member', { colour: 'red' }],
  ['no disk and no agent to find one', { diskGroups: [] }],
  ['two groups of one id', { diskGroups: [fresh.diskGroups[0], fresh.diskGroups[0]] }],
  ['a BMC that cannot work', { bmc: { kind: 'unknown', settings: {}, password: 'password-canary' } }],
  ['another boot mode', { boot: 'bios' }],
]
for (const [what, change] of badServers) {
  test(`a server with ${what} is 400 and not added`, async (t) => {
    const { api } = await withServer(t)
    const key = addKey(api.ports, 'ops', { operator: true })
    const answer = await call(api, key, {
      method: 'POST',
      target: '/1.0/byoi/server',
      body: JSON.stringify({ ...fresh, ...change }),
    })
    assert.equal(answer.status, 400)
    assert.ok(!answer.text.includes('canary'))
    assert.equal(api.ports.owned.size, 1)
  })
}

test('an operator makes a key that works, lists it without secrets, and revokes it', async (t) => {
  const { api } = await withServer(t)
  const operator = clientOf(api, addKey(api.ports, 'ops', { operator: true }))
  const made = await operator.createKey({
    account: 'a',
    rules: [{ method: 'GET', path: '/dedicated/server*' }],
  })
  const client = clientOf(api, made)
  assert.deepEqual(await client.servers(), [name])
  assert.ok(!JSON.stringify(await operator.listKeys()).includes('canary'))
  await operator.revokeKey(made.applicationKey)
  await assert.rejects(client.servers(), /This credential is not valid/)
  await assert.rejects(operator.revokeKey('nobody'), status(404))
  const bad = { account: 'a', rules: [{ method: 'GET' as const, path: `/${'*/'.repeat(12)}` }] }
  await assert.rejects(operator.createKey(bad), /rules\.0\.path/)
})

for (const [method, path] of [
  ['GET', '/byoi/server'],
  ['POST', '/byoi/server'],
  ['GET', `/byoi/server/${name}`],
  ['DELETE', `/byoi/server/${name}`],
  ['POST', `/byoi/server/${name}/check`],
  ['GET', '/byoi/key'],
  ['POST', '/byoi/key'],
  ['DELETE', '/byoi/key/app'],
]) {
  test(`${method} ${path} is for operators only, whatever the rules of a key`, async (t) => {
    const { api, key } = await withServer(t)
    const { status, json } = await call(api, key, { method: method ?? '', target: `/1.0${path}` })
    assert.deepEqual([status, json.errorCode], [403, 'NOT_GRANTED_CALL'])
    assert.equal(api.ports.owned.size, 1)
  })
}

test('routes of plugins are untouched by the hooks, errors and parsers of the API', async (t) => {
  const api = await startApi(t, {}, [
    async (app) => {
      app.post('/agent/v1/join', async (request) => ({ heard: request.body }))
      app.get('/agent/v1/fail', async () => {
        throw new Error('their own')
      })
    },
  ])
  const headers = { 'Content-Type': 'application/json', 'Content-Length': '7' }
  const join = await send(api.port, 'POST', '/agent/v1/join', headers, '{"a":1}')
  assert.deepEqual(join.json, { heard: { a: 1 } })
  assert.equal(join.headers['x-ovh-queryid'], undefined)
  const fail = await send(api.port, 'GET', '/agent/v1/fail')
  assert.deepEqual([fail.status, fail.json.message], [500, 'their own'])
})

test('a fault of ours is 500 without its text, and is logged without values', async (t) => {
  const { api, key } = await withServer(t)
  api.ports.servers.list = async () => {
    throw Object.assign(new Error('query failed'), {
      detail: 'detail-canary',
      parameters: ['parameter-canary'],
    })
  }
  const { status, text, json } = await call(api, key, { target: '/1.0/dedicated/server' })
  assert.deepEqual([status, json.errorCode], [500, 'INTERNAL'])
  assert.ok(!text.includes('query failed'))
  assert.ok(api.log.some((line) => line.includes('query failed')))
  assert.ok(!api.log.join('').includes('canary'))
})

test('the log has one line for each request, with no secret, body, query or raw path', async (t) => {
  const { api, key } = await withServer(t)
  const secrets = {
    ...good,
    httpHeader: [{ key: 'Authorization', value: 'header-canary' }],
    configdrive: { userData: 'data-canary', userMetadatas: [{ key: 'a', value: 'meta-canary' }] },
  }
  await call(api, key, { method: 'POST', target: own, body: JSON.stringify(secrets) })
  await call(api, key, { method: 'POST', target: own, body: '{"x":"body-canary"' })
  await call(api, key, { target: `${own}?token=canary` })
  await call(api, key, { target: '/1.0/dedicated/server/path-canary%0a' })
  await send(api.port, 'GET', '/1.0/canary')
  const text = api.log.join('')
  const answered = api.log.filter((entry) => entry.includes('"answered"'))
  assert.equal(answered.length, 5, text)
  assert.ok(!text.includes('canary'), text)
  const line = JSON.parse(answered[0] ?? '') as Record<string, unknown>
  assert.equal(line['route'], '/1.0/dedicated/server/:serviceName/bringYourOwnImage')
  assert.deepEqual([line['method'], line['status'], line['server']], ['POST', 200, name])
  assert.equal(line['key'], key.applicationKey)
  assert.match(String(line['reqId']), /^byoi\./)
})

test('no naughty string in the path or a body ends in 5xx or breaks a line of the log', async (t) => {
  const { api, key } = await withServer(t)
  const file = new URL('../../../../packages/contract/testdata/blns.json', import.meta.url)
  const naughty = JSON.parse(readFileSync(file, 'utf8')) as string[]
  for (const text of naughty) {
    const target = `/1.0/dedicated/server/${encodeURIComponent(text.toWellFormed())}/bringYourOwnImage`
    const [path, body] = await Promise.all([
      call(api, key, { target }),
      call(api, key, { method: 'POST', target: own, body: JSON.stringify({ ...good, description: text }) }),
    ])
    assert.ok(path.status === 404, `${text}: ${path.status}`)
    assert.ok([200, 400, 409].includes(body.status), `${text}: ${body.status}`)
  }
  for (const line of api.log) assert.equal(line.trimEnd().split(/[\n\r]/).length, 1)
})
