import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { call, startApi } from './http.fixture.ts'
import { addKey, addServer } from './memory-ports.fixture.ts'

const name = 'ns1.example.test'
const deployment = `/1.0/byoi/server/${name}/deployment`
const image = { URL: 'https://images.example.test/a.vmdk?token=query-canary', type: 'vmdk' }
const sums = { checkSumUrl: 'https://images.example.test/SHA256SUMS' }

/** 42 bytes as minisign makes them. */
const minisignKey = Buffer.concat([Buffer.from('Ed'), Buffer.alloc(8, 1), randomBytes(32)]).toString('base64')

async function start(t: TestContext) {
  const api = await startApi(t)
  addServer(api.ports, 'a', name)
  const key = addKey(api.ports, 'a')
  const post = (target: string, body: unknown) =>
    call(api, key, { method: 'POST', target, body: JSON.stringify(body) })
  const add = (body: unknown) => post('/1.0/byoi/signingKey', body)
  return { api, key, post, add }
}

test('a key is registered, listed with its id, and removed', async (t) => {
  const { api, key, add } = await start(t)
  const added = await add({ name: 'release', key: minisignKey })
  assert.equal(added.status, 200)
  assert.deepEqual([added.json['format'], added.json['ids']], ['minisign', ['0101010101010101']])
  assert.deepEqual((await call(api, key, { target: '/1.0/byoi/signingKey' })).json, [added.json])
  const again = await add({ name: 'release', key: minisignKey })
  assert.deepEqual([again.status, again.json.errorCode], [409, 'ALREADY_EXISTS'])
  const remove = { method: 'DELETE', target: '/1.0/byoi/signingKey/release' }
  const removed = await call(api, key, remove)
  assert.deepEqual([removed.status, removed.text], [200, 'null'])
  assert.equal((await call(api, key, remove)).status, 404)
})

const secret = Buffer.concat([Buffer.from('EdScB2'), randomBytes(152)]).toString('base64')
for (const [what, body] of [
  [
    'a private key of minisign',
    { name: 'a', key: `untrusted comment: minisign encrypted secret key\n${secret}\n` },
  ],
  ['the bare line of one', { name: 'a', key: secret }],
  ['a private key of OpenPGP', { name: 'a', key: `-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n${secret}\n` }],
  ['no key', { name: 'a', key: secret.slice(0, 60) }],
  ['an armored nothing', { name: 'a', key: `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${secret}\n` }],
  ['a name that is none', { name: 'A key', key: minisignKey }],
  ['no name', { key: minisignKey }],
] as const) {
  test(`${what} is refused, and neither answered nor logged`, async (t) => {
    const { api, add } = await start(t)
    const answer = await add(body)
    assert.equal(answer.status, 400)
    assert.match(answer.json.details?.['remedy'] ?? '', /\.$/)
    for (const text of [answer.text, api.log.join()]) assert.ok(!text.includes(secret.slice(0, 40)))
    assert.equal(api.ports.signingKeysOf.size, 0)
  })
}

test('a deployment by our own call starts with what is to be verified, and answers its id', async (t) => {
  const { api, post, add } = await start(t)
  await add({ name: 'release', key: minisignKey })
  const started = await post(deployment, { ...image, ...sums, keyNames: ['release'] })
  assert.equal(started.status, 200)
  assert.equal(started.json['id'], api.ports.views.get(name)?.id)
  const [{ request } = { request: undefined }] = api.ports.started
  assert.deepEqual(
    [request?.type, request?.sums?.shownUrl, request?.keyNames],
    ['vmdk', sums.checkSumUrl, ['release']],
  )
  assert.equal((await post(deployment, image)).json.errorCode, 'DEPLOYMENT_OPEN')
  assert.ok(!api.log.join().includes('query-canary'))
})

for (const [what, body, says] of [
  ['a key that the account has not', { ...image, ...sums, keyNames: ['other'] }, /keyNames/],
  ['a disk group that the server has not', { ...image, diskGroupId: 99 }, /diskGroupId/],
  ['a type that there is not', { ...image, type: 'iso' }, /Bad format image/],
  ['what does not go together', { ...image, keyNames: ['other'] }, /keyNames/],
  ['a disk that the server does not have', { ...image, disks: ['nobody'] }, /disks/],
] as const) {
  test(`a deployment with ${what} is 400, and none starts`, async (t) => {
    const { api, post } = await start(t)
    const answer = await post(deployment, body)
    assert.equal(answer.status, 400)
    assert.match(answer.json.message ?? '', says)
    assert.equal(api.ports.started.length, 0)
  })
}

test("another account's server is 404", async (t) => {
  const { api } = await start(t)
  const answer = await call(api, addKey(api.ports, 'b'), {
    method: 'POST',
    target: deployment,
    body: JSON.stringify(image),
  })
  assert.equal(answer.status, 404)
})
