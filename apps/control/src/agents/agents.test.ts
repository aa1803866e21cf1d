import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { agentPaths } from '@byoi/contract'
import {
  type Bench,
  caller,
  eventually,
  openBench,
  progress,
  TestAgent,
  type TestServer,
} from '../control-plane.fixture.ts'
import { readPostmasterFile } from '../store/postmaster-file.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(async () => await bench.close())

const booted = async (): Promise<{ server: TestServer; agent: TestAgent; id: string }> => {
  const server = await bench.addServer()
  const id = await server.start()
  return { server, agent: await server.boots(), id }
}
const joined = async () => {
  const found = await booted()
  assert.equal((await found.agent.join()).status, 200)
  return found
}
const phaseOf = async (server: TestServer) => (await server.current())?.phase

describe('an agent', { concurrency: 6 }, () => {
  test('joins once: the same key again has the same lease', async () => {
    const { agent } = await joined()
    const { lease } = agent
    assert.equal((await agent.join()).status, 200)
    assert.equal(agent.lease, lease)
  })

  const wrongJoins: [string, (agent: TestAgent) => Record<string, unknown>, number][] = [
    ['another secret', () => ({ secret: Buffer.alloc(32, 1).toString('base64url') }), 401],
    ['another server', () => ({ server: 'nobody.example' }), 401],
    ['another epoch', (agent) => ({ epoch: agent.epoch + 1 }), 401],
    ['a proof that is none', () => ({ proof: Buffer.alloc(64).toString('base64') }), 401],
    ['a key that is none', () => ({ publicKey: 'AAAA' }), 401],
    ['an older protocol', () => ({ protocol: 0 }), 426],
    ['a member too many', () => ({ admin: true }), 400],
  ]
  test('is refused with what is wrong in its join, and nothing changes', async () => {
    const { agent, server } = await booted()
    for (const [what, change, status] of wrongJoins) {
      const answer = await agent.join(change(agent))
      assert.equal(answer.status, status, what)
      assert.deepEqual(Object.keys(answer.body), ['message'], what)
    }
    assert.equal((await agent.join()).status, 200)
    assert.equal(await phaseOf(server), 'preflight-disk')
  })

  test('is refused when its boot secret has expired', async () => {
    const { agent, id } = await booted()
    await bench.db
      .updateTable('boot_secret')
      .set({ expires_at: new Date(0) })
      .where('deployment_id', '=', id)
      .execute()
    assert.equal((await agent.join()).status, 410)
  })

  test('with the secret of another is an alarm: held while nothing was written, then a new epoch', async () => {
    const { server, agent, id } = await joined()
    const newcomer = new TestAgent(bench.app, agent.medium)
    assert.equal((await newcomer.join()).status, 401)
    const view = await server.current()
    assert.equal(view?.state, 'hold')
    assert.match(view.hold ?? '', /second agent/)
    for (const ask of [agent.order, agent.permit, async () => await agent.report(null)]) {
      assert.equal((await ask()).status, 409)
    }
    await bench.ports.deployments.resolveHold(id, 'continue', caller)
    const next = await server.boots(agent.epoch)
    assert.equal((await next.join()).status, 200)
    assert.equal((await agent.permit()).status, 410)
  })

  test('with the secret of another while that one writes is refused, and a new epoch begins', async () => {
    const { server, agent } = await joined()
    await agent.report(progress('write'))
    assert.equal((await new TestAgent(bench.app, agent.medium).join()).status, 401)
    const next = await server.boots(agent.epoch)
    assert.equal((await next.join()).status, 200)
    assert.equal((await agent.permit()).status, 410)
    const alarms = await bench.db
      .selectFrom('audit')
      .select('id')
      .where('action', '=', 'agent.alarm')
      .where('service_name', '=', server.name)
      .execute()
    assert.equal(alarms.length, 1)
  })

  test('that held ends by an operator ends in an error, its server off', async () => {
    const { server, agent, id } = await joined()
    await new TestAgent(bench.app, agent.medium).join()
    await bench.ports.deployments.resolveHold(id, 'fail', caller)
    const view = await eventually('the error', async () => {
      const found = await server.current()
      return found?.state === 'error' ? found : null
    })
    assert.equal(view.error?.code, 'CANCELLED')
    assert.equal(await server.power(), 'off')
  })

  test('repeats its newest message without a second effect', async () => {
    const { server, agent } = await joined()
    const report = { epoch: agent.epoch, progress: progress('write'), log: ['a line'], outcome: null }
    const first = await agent.send(agentPaths.report, report, 7)
    const again = await agent.send(agentPaths.report, report, 7)
    assert.deepEqual([first.status, again.status], [200, 200])
    assert.deepEqual(again.body, { heard: 7 })
    assert.deepEqual((await server.current())?.log, ['a line'])
  })

  test('is refused with an old number, another message under the same number, and a number of no form', async () => {
    const { agent } = await joined()
    assert.equal((await agent.send(agentPaths.order, {}, 5)).status, 200)
    const report = { epoch: agent.epoch, progress: null, log: [], outcome: null }
    for (const sequence of [4, 5, 0, -1, 1.5]) {
      const answer = await agent.send(agentPaths.report, report, sequence)
      assert.equal(answer.status, 401, String(sequence))
      assert.deepEqual(Object.keys(answer.body), ['message'])
    }
  })

  test('is refused with the lease or the epoch of another', async () => {
    const [one, two] = await Promise.all([joined(), joined()])
    const impostor = new TestAgent(bench.app, one.agent.medium)
    impostor.lease = two.agent.lease
    assert.equal((await impostor.order()).status, 401)
    one.agent.lease = two.agent.lease
    assert.equal((await one.agent.order()).status, 401)
    const report = { epoch: two.agent.epoch + 1, progress: null, log: [], outcome: null }
    assert.equal((await two.agent.send(agentPaths.report, report)).status, 401)
    assert.equal((await two.agent.send(agentPaths.permit, { epoch: two.agent.epoch + 1 })).status, 401)
    assert.equal((await two.agent.post(agentPaths.order, '{}')).status, 401)
  })

  test('moves its phase forward only, and into publish by its permit only', async () => {
    const { server, agent } = await joined()
    await agent.report(progress('verify'))
    await agent.report(progress('write'))
    assert.equal(await phaseOf(server), 'verify')
    await agent.report(progress('publish'))
    assert.equal(await phaseOf(server), 'verify')
    assert.equal((await agent.permit()).status, 200)
    assert.equal(await phaseOf(server), 'publish')
    assert.equal((await agent.permit()).status, 200)
  })

  test('that says published without a permit is not believed', async () => {
    const { server, agent } = await joined()
    await agent.report(progress('config-drive'))
    assert.equal((await agent.published()).status, 401)
    assert.equal(await phaseOf(server), 'config-drive')
  })

  const wrongBodies: [string, string, number][] = [
    ['no JSON', '{', 400],
    ['a key twice', '{"epoch":1,"epoch":2}', 400],
    ['no object', '[]', 400],
    ['nothing', '', 400],
    ['too much', `{"release":"${'x'.repeat(600 * 1024)}"}`, 413],
  ]
  for (const [what, body, status] of wrongBodies) {
    test(`is refused with ${what} in its join`, async () => {
      const answer = await bench.app.inject({ method: 'POST', url: agentPaths.join, payload: body })
      assert.equal(answer.statusCode, status)
    })
  }
})

test('an agent is told to try later while the database is away, and is heard when it is back', async () => {
  const { server, agent } = await joined()
  const { pid } = (await readPostmasterFile(join(bench.directory, 'pg', 'data'))) ?? { pid: 0 }
  assert.notEqual(pid, 0)
  process.kill(pid, 'SIGKILL')
  const answers = await eventually('the permit', async () => {
    const { status } = await agent.permit()
    if (status !== 200) assert.equal(status, 503)
    return status === 200
  })
  assert.equal(answers, true)
  assert.equal(await phaseOf(server), 'publish')
})
