import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { parseByoiRequest } from '@byoi/contract'
import {
  account,
  type Bench,
  caller,
  eventually,
  openBench,
  type TestServer,
} from '../control-plane.fixture.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(async () => await bench.close())

const serverKey = 'ssh-ed25519 AAAA-of-the-server'
const hostKeys = ['ssh-ed25519 AAAA-of-the-host']
const addresses = ['10.0.0.5']

/** A rescue's agent, after it has said that it is up. */
async function comesUp(server: TestServer, after: number, id: string | null) {
  const agent = await server.boots(after)
  assert.equal((await agent.join()).status, 200)
  const order = (await agent.order()).body
  assert.equal(order['kind'], 'rescue')
  await agent.report(null, { kind: 'rescue', hostKeys, addresses })
  const view = await eventually('the rescue', async () => {
    const found = await bench.ports.deployments.currentRescue(account, server.name)
    return found?.state === 'done' ? found : null
  })
  assert.deepEqual(view.rescue, { hostKeys, addresses })
  if (id !== null) assert.equal(view.id, id)
  return { agent, order }
}

async function rescue(server: TestServer): Promise<string> {
  const started = await bench.ports.deployments.rescue(account, server.name, caller)
  if (started.kind !== 'started') throw new Error(started.kind)
  return started.id
}

describe('a rescue without a deployment', { concurrency: 4 }, () => {
  test("comes up with the server's own key, is shown with its host keys, and again", async () => {
    const server = await bench.addServer()
    assert.equal(await bench.ports.deployments.currentRescue(account, server.name), null)
    await bench.ports.servers.change(account, server.name, { rescueSshKey: serverKey }, caller)
    const first = await comesUp(server, 0, await rescue(server))
    assert.equal(first.order['sshKey'], serverKey)
    assert.equal(await server.current(), null)
    const second = await comesUp(server, first.agent.epoch, await rescue(server))
    assert.equal((await first.agent.report(null)).status, 410)
    assert.equal((await second.agent.report(null)).status, 200)
  })

  test("waits for what is open, and is nobody else's", async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const { deployments } = bench.ports
    assert.deepEqual(await deployments.rescue(account, server.name, caller), { kind: 'conflict', id })
    assert.deepEqual(await deployments.rescue('another', server.name, caller), { kind: 'none' })
    assert.equal(await deployments.currentRescue('another', server.name), null)
  })

  test('is not shown any more once the server was deployed to', async () => {
    const server = await bench.addServer()
    const { agent } = await comesUp(server, 0, await rescue(server))
    await server.start()
    assert.equal(await bench.ports.deployments.currentRescue(account, server.name), null)
    await server.boots(agent.epoch)
  })
})

describe('the key of a rescue that follows a deployment', { concurrency: 2 }, () => {
  const deploymentKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKbDXSGSUBIK2jjNfvB2jZvKYOZUKZGBiIbmZPzQxgJT me'
  const cases: [string, string | null, string][] = [
    ["is the server's, where it has one", serverKey, serverKey],
    ["is the deployment's else", null, deploymentKey],
  ]
  for (const [what, rescueSshKey, expected] of cases) {
    test(what, async () => {
      const server = await bench.addServer()
      await bench.ports.servers.change(account, server.name, { rescueSshKey }, caller)
      const request = parseByoiRequest({
        URL: 'http://127.0.0.1:1/x',
        type: 'raw',
        configdrive: { enable: true, sshKey: deploymentKey },
      })
      await bench.ports.deployments.start(account, server.name, request, caller)
      const agent = await server.boots()
      await server.forget()
      const { order } = await comesUp(server, agent.epoch, null)
      assert.equal(order['sshKey'], expected)
    })
  }
})
