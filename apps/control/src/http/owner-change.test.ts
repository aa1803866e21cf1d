import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { call, startApi, type TestApi } from './http.fixture.ts'
import { addKey, addServer, type TestKey } from './memory-ports.fixture.ts'

const name = 'ns1.example.test'
const target = `/1.0/dedicated/server/${name}`
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKbDXSGSUBIK2jjNfvB2jZvKYOZUKZGBiIbmZPzQxgJT me'
const loader = String.raw`\efi\debian\grubx64.efi`

async function withServer(t: Parameters<typeof startApi>[0]): Promise<{ api: TestApi; key: TestKey }> {
  const api = await startApi(t)
  addServer(api.ports, 'a', name)
  return { api, key: addKey(api.ports, 'a') }
}

const put = async (api: TestApi, key: TestKey, body: unknown) =>
  await call(api, key, { method: 'PUT', target, body: JSON.stringify(body) })

test('PUT changes rescueSshKey and efiBootloaderPath, and GET shows them', async (t) => {
  const { api, key } = await withServer(t)
  const answer = await put(api, key, { rescueSshKey: sshKey })
  assert.deepEqual([answer.status, answer.text], [200, 'null'])
  await put(api, key, { efiBootloaderPath: loader })
  const { json } = await call(api, key, { target })
  assert.deepEqual([json['rescueSshKey'], json['efiBootloaderPath']], [sshKey, loader])
  await put(api, key, { rescueSshKey: null, efiBootloaderPath: '' })
  const cleared = (await call(api, key, { target })).json
  assert.deepEqual([cleared['rescueSshKey'], cleared['efiBootloaderPath']], [null, null])
})

test('PUT takes an object that was read, with what is to change changed', async (t) => {
  const { api, key } = await withServer(t)
  const { json } = await call(api, key, { target })
  assert.equal((await put(api, key, { ...json, rescueSshKey: sshKey })).status, 200)
  assert.equal((await call(api, key, { target })).json['rescueSshKey'], sshKey)
})

describe('PUT is refused, and changes nothing, with', () => {
  const bad: [string, unknown, RegExp][] = [
    ['a boot id, naming what to use instead', { bootId: 1122 }, /bootId cannot be changed/],
    ['monitoring', { monitoring: true }, /monitoring cannot be changed/],
    ['another name', { name: 'ns2.example.test' }, /name cannot be changed/],
    ['a property that is none', { colour: 'red' }, /not described parameters: \(colour\)/],
    ['a key of no form', { rescueSshKey: 'ssh-rsa canary' }, /rescueSshKey/],
    ['a private key', { rescueSshKey: '-----BEGIN OPENSSH PRIVATE KEY-----canary' }, /rescueSshKey/],
    ['a key that is none', { rescueSshKey: 7 }, /rescueSshKey/],
    ['a loader that leads upwards', { efiBootloaderPath: String.raw`\..\canary.efi` }, /efiBootloaderPath/],
    [
      'one good and one bad property',
      { rescueSshKey: sshKey, efiBootloaderPath: '/canary' },
      /efiBootloaderPath/,
    ],
    ['no object', ['canary'], /JSON object/],
    ['null', null, /JSON object/],
  ]
  for (const [what, body, message] of bad) {
    test(what, async (t) => {
      const { api, key } = await withServer(t)
      const before = structuredClone(api.ports.owned.get(`a/${name}`))
      const answer = await put(api, key, body)
      assert.equal(answer.status, 400)
      assert.match(answer.json.message ?? '', message)
      assert.ok(answer.json.details?.['remedy'])
      assert.ok(!answer.text.includes('canary') && !api.log.join('').includes('canary'))
      assert.deepEqual(api.ports.owned.get(`a/${name}`), before)
    })
  }

  test("another account's key, as if there were no such server", async (t) => {
    const { api } = await withServer(t)
    const stranger = addKey(api.ports, 'b')
    assert.equal((await put(api, stranger, { rescueSshKey: sshKey })).status, 404)
    assert.equal(api.ports.owned.get(`a/${name}`)?.rescueSshKey, null)
  })

  test('a key that may only read', async (t) => {
    const { api } = await withServer(t)
    const reader = addKey(api.ports, 'a', { rules: [{ method: 'GET', path: '/*' }] })
    assert.equal((await put(api, reader, { rescueSshKey: sshKey })).status, 403)
  })
})
