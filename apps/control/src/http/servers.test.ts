import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ApiError, ByoiClient, Secret } from '@byoi/contract'
import { call, startApi, type TestApi } from './http.fixture.ts'
import { addKey, addServer, type TestKey, view } from './memory-ports.fixture.ts'

const name = 'ns1.example.test'

async function withServer(t: Parameters<typeof startApi>[0]) {
  const api = await startApi(t)
  addServer(api.ports, 'a', name)
  const operator = addKey(api.ports, 'ops', { operator: true })
  return { api, key: addKey(api.ports, 'a'), operator, client: clientOf(api, operator) }
}

const clientOf = (api: TestApi, key: TestKey): ByoiClient =>
  new ByoiClient({
    endpoint: `http://127.0.0.1:${api.port}/1.0`,
    applicationKey: key.applicationKey,
    applicationSecret: new Secret(key.applicationSecret),
    consumerKey: new Secret(key.consumerKey),
  })

const status = (expected: number) => (error: unknown) =>
  error instanceof ApiError && error.status === expected

const netboot = { way: 'netboot' as const, macs: ['52:54:00:00:00:01'], kernelWords: '', network: null }

describe('an operator', () => {
  test('changes what is known of a server', async (t) => {
    const { api, client } = await withServer(t)
    await client.setServer(name, {
      bmc: { settings: { address: 'https://10.0.0.5' }, password: 'canary-password' },
      agentBoot: netboot,
      diskGroups: [{ diskGroupId: 1, disks: [{ serial: 'S', size: 2 ** 33 }] }],
    })
    const [change] = api.ports.changed
    assert.equal(change?.password?.reveal(), 'canary-password')
    assert.deepEqual({ ...change.settings }, { address: 'https://10.0.0.5' })
    assert.equal(change.diskGroups?.[0]?.size, 2 ** 33)
    await client.setServer(name, { diskGroups: [] })
    assert.deepEqual(api.ports.changed[1], { diskGroups: [] })
    assert.ok(!api.log.join('').includes('canary'))
  })

  const bad: [string, object][] = [
    ['an unknown member', { colour: 'red' }],
    ['a BMC that is none', { bmc: { settings: { address: 'bad' } } }],
    ['a way that is none', { agentBoot: { ...netboot, way: 'carrier-pigeon' } }],
    ['no port to boot from', { agentBoot: { ...netboot, macs: [] } }],
    ['a word that iPXE would run', { agentBoot: { ...netboot, kernelWords: 'a || shell' } }],
    [
      'two groups of one id',
      { diskGroups: [1, 1].map((diskGroupId) => ({ diskGroupId, disks: [{ serial: 'S', size: 2 ** 33 }] })) },
    ],
  ]
  for (const [what, body] of bad) {
    test(`is refused a change with ${what}`, async (t) => {
      const { api, operator } = await withServer(t)
      const target = `/1.0/byoi/server/${name}`
      const answer = await call(api, operator, { method: 'PUT', target, body: JSON.stringify(body) })
      assert.equal(answer.status, 400)
      assert.deepEqual(api.ports.changed, [])
    })
  }

  test('waits for an open deployment before a change or an inspection', async (t) => {
    const { api, client } = await withServer(t)
    api.ports.views.set(name, view('d-1', name))
    await assert.rejects(client.setServer(name, { diskGroups: [] }), status(409))
    await assert.rejects(client.inspectServer(name), status(409))
    await assert.rejects(client.inspectServer('nobody.example'), status(404))
    await assert.rejects(client.setServer('nobody.example', { diskGroups: [] }), status(404))
  })

  test('starts an inspection and is told how to follow it', async (t) => {
    const { client } = await withServer(t)
    assert.deepEqual(await client.inspectServer(name), { id: `inspect-${name}` })
  })

  test('is told of the provisioning listener, where there is one', async (t) => {
    const { api, client } = await withServer(t)
    await assert.rejects(client.netboot(), (error: unknown) => {
      assert.ok(error instanceof ApiError)
      assert.match(error.remedy ?? '', /byoi up --provisioning/)
      return error.status === 404
    })
    const found = { provisioningUrl: 'http://p', mediaUrl: 'http://m', agentUrl: 'https://a', ramdisk: '/r' }
    api.ports.netboot = () => found
    assert.deepEqual(await client.netboot(), found)
  })
})

describe('rescue without a deployment', () => {
  test('is started by the owner of the server, and shown while the server is in it', async (t) => {
    const { api, key } = await withServer(t)
    const client = clientOf(api, key)
    await assert.rejects(client.currentRescue(name), status(404))
    const { id } = await client.rescue(name)
    assert.equal((await client.currentRescue(name)).id, id)
    const stranger = clientOf(api, addKey(api.ports, 'b'))
    await assert.rejects(stranger.rescue(name), status(404))
    await assert.rejects(stranger.currentRescue(name), status(404))
  })

  test('waits for the end of what is going on', async (t) => {
    const { api, key } = await withServer(t)
    api.ports.views.set(name, view('d-1', name))
    await assert.rejects(clientOf(api, key).rescue(name), (error: unknown) => {
      assert.ok(error instanceof ApiError && error.message.includes('d-1'))
      return error.status === 409
    })
  })
})

for (const [method, path] of [
  ['PUT', `/byoi/server/${name}`],
  ['POST', `/byoi/server/${name}/inspect`],
  ['GET', '/byoi/netboot'],
] as const) {
  test(`${method} ${path} is for operators only`, async (t) => {
    const { api, key } = await withServer(t)
    const { status: code, json } = await call(api, key, { method, target: `/1.0${path}` })
    assert.deepEqual([code, json.errorCode], [403, 'NOT_GRANTED_CALL'])
  })
}
