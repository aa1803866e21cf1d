import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ByoiRequest, type DeployOrder, parseDeploymentRequest } from '@byoi/contract'
import { account, type Bench, caller, canary, openBench } from '../control-plane.fixture.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(async () => await bench.close())

const requestOf = (more: object): ByoiRequest =>
  parseDeploymentRequest({ URL: 'http://127.0.0.1:8099/image.vmdk', type: 'vmdk', ...more })

/** Starts a deployment; what its agent is ordered to do, and what the deployment says of itself. */
async function orderOf(more: object) {
  const server = await bench.addServer()
  const started = await bench.ports.deployments.start(account, server.name, requestOf(more), caller)
  assert.equal(started.kind, 'started')
  return async () => {
    const agent = await server.boots()
    assert.equal((await agent.join()).status, 200)
    const { image, growLastPartition } = (await agent.order()).body as unknown as DeployOrder
    return { image, growLastPartition, view: await server.current() }
  }
}

const sumsUrl = `http://127.0.0.1:8099/SUMS?token=${canary}`
const signatureUrl = `http://127.0.0.1:8099/signature?token=${canary}`

describe('what an image is to be verified by', () => {
  before(async () => {
    for (const name of ['one', 'two']) {
      const key = { name, format: 'minisign' as const, ids: ['00'], key: `key ${name}` }
      assert.equal((await bench.ports.signingKeys.add(account, key, caller)).kind, 'added')
    }
  })

  const cases: [string, object, Pick<DeployOrder['image'], 'sums' | 'signature'>][] = [
    ['nothing', {}, { sums: null, signature: null }],
    [
      'a checksum file',
      { checkSumUrl: sumsUrl, checkSumName: 'a' },
      { sums: { url: sumsUrl, name: 'a', keys: [], signatureUrl: null }, signature: null },
    ],
    [
      'a clear-signed one',
      { checkSumUrl: sumsUrl, keyNames: ['one', 'two'] },
      {
        sums: { url: sumsUrl, name: null, keys: ['key one', 'key two'], signatureUrl: null },
        signature: null,
      },
    ],
    [
      'a signed one',
      { checkSumUrl: sumsUrl, signatureUrl, keyNames: ['two'] },
      { sums: { url: sumsUrl, name: null, keys: ['key two'], signatureUrl }, signature: null },
    ],
    [
      'a signature of the image',
      { signatureUrl, keyNames: ['one'] },
      { sums: null, signature: { url: signatureUrl, keys: ['key one'] } },
    ],
    [
      'a signature of the image beside a checksum file',
      { checkSumUrl: sumsUrl, signatureUrl, signatureOf: 'image', keyNames: ['one'] },
      {
        sums: { url: sumsUrl, name: null, keys: [], signatureUrl: null },
        signature: { url: signatureUrl, keys: ['key one'] },
      },
    ],
  ]
  for (const [what, more, expected] of cases) {
    test(`reaches the agent: ${what}`, async () => {
      const { image, view } = await (await orderOf(more))()
      assert.deepEqual({ sums: image.sums, signature: image.signature }, expected)
      assert.equal(image.type, 'vmdk')
      assert.ok(!JSON.stringify(view).includes(canary))
    })
  }

  test('and whether its last partition grows reach the agent', async () => {
    for (const growLastPartition of [true, false])
      assert.equal((await (await orderOf({ growLastPartition }))()).growLastPartition, growLastPartition)
    assert.equal((await (await orderOf({}))()).growLastPartition, false)
  })

  test('and on which disks it is to be reaches the agent', async () => {
    const server = await bench.addServer()
    const disks = [server.name]
    await bench.ports.deployments.start(account, server.name, requestOf({ disks }), caller)
    const agent = await server.boots()
    await agent.join()
    const { disk, mirrors } = (await agent.order()).body as unknown as DeployOrder
    assert.deepEqual([disk.serial, mirrors], [server.name, []])
  })

  test('is kept as it was when the deployment began', async () => {
    const key = { name: 'gone', format: 'minisign' as const, ids: ['00'], key: 'the first' }
    await bench.ports.signingKeys.add(account, key, caller)
    const ordered = await orderOf({ signatureUrl, keyNames: ['gone'] })
    assert.equal(await bench.ports.signingKeys.remove(account, 'gone', caller), true)
    await bench.ports.signingKeys.add(account, { ...key, key: 'another' }, caller)
    assert.deepEqual((await ordered()).image.signature?.keys, ['the first'])
  })

  test("is never another account's key", async () => {
    const server = await bench.addServer()
    const start = (keyNames: string[]) =>
      bench.ports.deployments.start(account, server.name, requestOf({ signatureUrl, keyNames }), caller)
    const key = { name: 'theirs', format: 'minisign' as const, ids: ['00'], key: 'theirs' }
    await bench.ports.signingKeys.add('globex', key, { ...caller, account: 'globex' })
    assert.deepEqual(await start(['one', 'theirs']), { kind: 'unknown-key', name: 'theirs' })
    assert.equal(await bench.ports.signingKeys.remove(account, 'theirs', caller), false)
    assert.equal(await server.current(), null)
  })
})

describe("an account's signing keys", () => {
  test('are listed by name, taken once, and limited in number', async () => {
    const { signingKeys } = bench.ports
    const add = (name: string) =>
      signingKeys.add('initech', { name, format: 'openpgp', ids: ['A', 'B'], key: name }, caller)
    const all = await Promise.all(Array.from({ length: 104 }, (_, index) => add(`k${index % 102}`)))
    const count = (kind: string) => all.filter((each) => each.kind === kind).length
    assert.equal(count('added'), 100)
    assert.equal(count('added') + count('exists') + count('full'), 104)
    const list = await signingKeys.list('initech')
    assert.equal(list.length, 100)
    assert.deepEqual(
      list.map(({ name }) => name),
      list.map(({ name }) => name).toSorted(),
    )
    assert.deepEqual([list[0]?.format, list[0]?.ids], ['openpgp', ['A', 'B']])
    assert.deepEqual(Object.keys(list[0] ?? {}), ['name', 'format', 'ids', 'createdAt'])
  })
})
