import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Bmc, BmcError } from '@byoi/bmc'
import { type DeploymentView } from '@byoi/contract'
import { sql } from 'kysely'
import {
  account,
  type Bench,
  caller,
  canary,
  eventually,
  openBench,
  progress,
  request,
  type TestAgent,
  type TestServer,
} from '../control-plane.fixture.ts'
import { verifyAudit } from '../store/audit.ts'

let bench: Bench
const faultsOf = new Map<string, Partial<Bmc>>()

before(async () => {
  bench = await openBench()
  const { openBmc } = bench.context
  bench.context.openBmc = (row) => {
    const bmc = openBmc(row)
    const faults = faultsOf.get(row.service_name)
    if (faults === undefined) return bmc
    return {
      readPower: (signal) => bmc.readPower(signal),
      setPower: (to, signal) => bmc.setPower(to, signal),
      readBootDevice: (signal) => bmc.readBootDevice(signal),
      setBootDevice: (to, signal) => bmc.setBootDevice(to, signal),
      identify: (signal) => bmc.identify(signal),
      virtualMedia: bmc.virtualMedia,
      localMedium: bmc.localMedium,
      console: bmc.console,
      close: () => bmc.close(),
      ...faults,
    }
  }
})
after(async () => await bench.close())

describe('a deployment', { concurrency: 6 }, () => {
  const inState = async (server: TestServer, state: DeploymentView['state']) =>
    await eventually(`${server.name} to be ${state}`, async () => {
      const view = await server.current()
      return view?.state === state ? view : null
    })

  const joined = async (server: TestServer, after = 0): Promise<TestAgent> => {
    const agent = await server.boots(after)
    assert.equal((await agent.join()).status, 200)
    return agent
  }

  /** Leads an agent to a phase; `publish` by its permit. */
  const reach = async (agent: TestAgent, phase: string) => {
    if (phase === 'preflight-disk') return
    assert.equal((await agent.report(progress('write'))).status, 200)
    if (phase === 'verify') assert.equal((await agent.report(progress('verify'))).status, 200)
    if (phase === 'publish') assert.equal((await agent.permit()).status, 200)
  }

  const finish = async (server: TestServer, agent: TestAgent) => {
    await reach(agent, 'publish')
    assert.equal((await agent.published()).status, 200)
    return await inState(server, 'done')
  }

  /** The server is in rescue and the cancelled deployment is forgotten. */
  const rescued = async (server: TestServer, after: number) => {
    const agent = await joined(server, after)
    assert.equal((await agent.order()).body['kind'], 'rescue')
    await agent.report(null, { kind: 'rescue', hostKeys: [], addresses: [] })
    await eventually('the cancel to end', async () => (await server.current()) === null)
    assert.equal(await server.bootDevice(), 'network')
    assert.equal(await server.power(), 'on')
    return agent
  }

  const rowOf = async (id: string) =>
    await bench.db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

  test('goes from POST to done, and its server starts from the disk', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const agent = await joined(server)
    const order = (await agent.order()).body
    assert.equal(order['kind'], 'deploy')
    assert.deepEqual(order['disk'], { serial: server.name, wwn: null, size: 8 * 1024 * 1024 })
    assert.match(JSON.stringify(order), new RegExp(`token=${canary}`))
    const view = await finish(server, agent)
    assert.equal(view.id, id)
    assert.equal(view.disk, 'complete')
    assert.equal(view.checksum, 'ab'.repeat(32))
    assert.equal(view.percent, 100)
    assert.notEqual(view.endedAt, null)
    assert.equal(await server.bootDevice(), 'disk')
    assert.equal(await server.power(), 'on')
    assert.equal(existsSync(join(server.state, 'medium')), false)
    const row = await rowOf(id)
    assert.equal(row.secrets, null)
    assert.equal(row.secrets_key, null)
    assert.equal((await bench.ports.servers.find(account, server.name))?.ownImage, true)
    assert.equal((await agent.report(progress('write'))).status, 410)
  })

  test('keeps no secret in any column in plain', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const agent = await joined(server)
    await agent.order()
    const { rows } = await sql<{ name: string }>`
      select table_schema || '.' || table_name as name from information_schema.tables
      where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(bench.db)
    assert.ok(rows.length > 9)
    let text = ''
    for (const { name } of rows) {
      const dump = await sql<{ row: string }>`select t::text as row from ${sql.raw(name)} t`.execute(bench.db)
      text += dump.rows.map(({ row }) => row).join('\n')
    }
    assert.ok(text.includes(id))
    for (const secret of [canary, agent.medium.secret]) {
      const hex = Buffer.from(secret).toString('hex')
      const base64 = Buffer.from(secret).toString('base64').replaceAll('=', '')
      for (const form of [secret, hex, base64]) assert.ok(!text.includes(form), `${form} is in the database`)
    }
    await finish(server, agent)
  })

  test('begins again with a new epoch when the power of its server is cut, and the old agent is turned away', async () => {
    const server = await bench.addServer()
    await server.start()
    const first = await joined(server)
    await reach(first, 'write')
    await server.cutPower()
    const second = await joined(server, first.epoch)
    assert.ok(second.epoch > first.epoch)
    assert.equal((await first.report(progress('write'))).status, 410)
    assert.equal((await first.permit()).status, 410)
    assert.equal((await first.order()).status, 410)
    await finish(server, second)
  })

  test('shows no rate of an agent that is silent', async () => {
    const server = await bench.addServer()
    await server.start()
    const agent = await joined(server)
    await agent.report(progress('write'))
    assert.equal((await server.current())?.bytesPerSecond, 1024)
    const view = await eventually('no rate', async () => {
      const found = await server.current()
      return found?.bytesPerSecond === 0 ? found : null
    })
    assert.deepEqual([view.phase, view.secondsLeft, view.bytesDone], ['write', null, 1024])
    await eventually('the rate of one that is heard again', async () => {
      await agent.report(progress('write', 2048))
      return (await server.current())?.bytesPerSecond === 1024
    })
  })

  test('ends in an error when the agent is lost three times without having written', async () => {
    const server = await bench.addServer()
    await server.start()
    let epoch = 0
    for (let times = 0; times < 3; times++) {
      const agent = await joined(server, epoch)
      epoch = agent.epoch
      await server.cutPower()
    }
    const view = await inState(server, 'error')
    assert.equal(view.error?.code, 'TIMEOUT')
    assert.equal(view.disk, 'unknown')
    assert.equal(await server.power(), 'off')
  })

  test('ends in the error that the agent reports, with its server off and not set to its disk', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const agent = await joined(server)
    await reach(agent, 'write')
    const failure = {
      code: 'SUM',
      message: 'Bad sha256',
      cause: 'It differs.',
      remedy: 'Correct it.',
    } as const
    const outcome = { kind: 'failed', failure: { ...failure, disk: 'unbootable' } } as const
    assert.equal((await agent.report(null, outcome)).status, 200)
    const view = await inState(server, 'error')
    assert.deepEqual(view.error, failure)
    assert.equal(view.disk, 'unbootable')
    assert.equal(await server.power(), 'off')
    assert.equal(await server.bootDevice(), 'network')
    assert.equal(existsSync(join(server.state, 'medium')), false)
    assert.equal((await rowOf(id)).secrets_key, null)
    assert.equal((await agent.permit()).status, 410)
    const again = await server.start()
    assert.notEqual(again, id)
    await finish(server, await joined(server, agent.epoch))
  })

  test('is started once when it is asked for many times at once', async () => {
    const server = await bench.addServer()
    const results = await Promise.all(
      Array.from({ length: 20 }, () =>
        bench.ports.deployments.start(account, server.name, request(), caller),
      ),
    )
    const started = results.filter((each) => each.kind === 'started')
    assert.equal(started.length, 1)
    const ids = new Set(results.map((each) => ('id' in each ? each.id : '')))
    assert.deepEqual([...ids], [started[0]?.id])
    await finish(server, await joined(server))
  })

  for (const phase of ['await-agent', 'preflight-disk', 'write', 'verify']) {
    test(`cancelled in ${phase} never publishes, and its server comes up in rescue`, async () => {
      const server = await bench.addServer()
      await server.start()
      const agent = phase === 'await-agent' ? await server.boots() : await joined(server)
      if (phase !== 'await-agent') await reach(agent, phase)
      await server.forget()
      assert.equal((await server.current())?.state, 'cancelled')
      assert.equal((await server.current())?.endedAt, null)
      if (phase === 'await-agent') assert.equal((await agent.join()).status, 410)
      else {
        assert.equal((await agent.permit()).status, 410)
        assert.equal((await agent.report(progress('write'))).status, 410)
      }
      const started = await bench.ports.deployments.start(account, server.name, request(), caller)
      assert.equal(started.kind, 'conflict')
      const rescue = await rescued(server, agent.epoch)
      assert.equal((await rescue.report(null)).status, 200)
      await server.start()
      await finish(server, await joined(server, rescue.epoch))
      assert.equal((await rescue.report(null)).status, 410)
    })
  }

  test('cancelled while it publishes waits for the end of that, then goes to rescue', async () => {
    const server = await bench.addServer()
    await server.start()
    const agent = await joined(server)
    await reach(agent, 'publish')
    await server.forget()
    assert.equal((await server.current())?.state, 'cancelled')
    assert.equal((await agent.permit()).status, 410)
    assert.equal((await agent.published()).status, 200)
    const view = await eventually('the cancel', async () => {
      const found = await server.current()
      return found?.disk === 'complete' ? found : null
    })
    assert.equal(view.state, 'cancelled')
    await rescued(server, agent.epoch)
  })

  test('cancelled while it publishes is not waited for for ever', async () => {
    const server = await bench.addServer()
    await server.start()
    const agent = await joined(server)
    await reach(agent, 'publish')
    await server.forget()
    const rescue = await rescued(server, agent.epoch)
    assert.equal((await agent.published()).status, 410)
    assert.ok(rescue.epoch > agent.epoch)
  })

  test('cancelled many times at once is cancelled once', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const agent = await joined(server)
    await Promise.all(Array.from({ length: 20 }, () => server.forget()))
    const rescues = await bench.db.selectFrom('deployment').select('id').where('cancels', '=', id).execute()
    assert.equal(rescues.length, 1)
    await rescued(server, agent.epoch)
    const none = await bench.ports.deployments.forget(account, server.name, caller)
    assert.equal(none.kind, 'none')
  })

  test('forgotten after it was done leaves its server in rescue', async () => {
    const server = await bench.addServer()
    await server.start()
    const agent = await joined(server)
    await finish(server, agent)
    await server.forget()
    await rescued(server, agent.epoch)
    assert.equal((await bench.ports.servers.find(account, server.name))?.ownImage, false)
  })

  test('forgotten takes the ones before it along: they no longer say what is on the disk', async () => {
    const server = await bench.addServer()
    await server.start()
    const agent = await joined(server)
    await finish(server, agent)
    await server.start()
    const second = await joined(server, agent.epoch)
    await server.forget()
    await rescued(server, second.epoch)
    assert.equal(await server.current(), null)
    const { kind } = await bench.ports.deployments.forget(account, server.name, caller)
    assert.equal(kind, 'none')
  })

  describe('whose BMC', () => {
    const withFaults = (server: TestServer, faults: Partial<Bmc>) => {
      faultsOf.set(server.name, faults)
      return () => faultsOf.delete(server.name)
    }
    const fails = (outcome: 'refused' | 'unknown') => async () => {
      throw new BmcError('The BMC does not answer.', {
        fault: 'unreachable',
        outcome,
        remedy: 'Check its network.',
      })
    }

    test('does not answer ends in an error before anything was touched', async () => {
      const server = await bench.addServer()
      const heal = withFaults(server, { readPower: fails('refused') })
      await server.start()
      const view = await inState(server, 'error')
      heal()
      assert.deepEqual(view.error, {
        code: 'BMC',
        message: "Could not control the server's power or boot device.",
        cause: 'The BMC does not answer.',
        remedy: 'Check its network.',
      })
      assert.equal(view.disk, 'untouched')
      assert.equal(await server.bootDevice(), 'disk')
    })

    test('leaves the power unknown is held until an operator decides', async () => {
      const server = await bench.addServer()
      const { bmc } = server
      const heal = withFaults(server, {
        setPower: async (to, signal) =>
          to === 'on' ? await fails('unknown')() : await bmc.setPower(to, signal),
      })
      const id = await server.start()
      const view = await inState(server, 'hold')
      assert.match(view.hold ?? '', /not known whether the server is on or off/)
      heal()
      const { deployments } = bench.ports
      assert.equal((await deployments.resolveHold(id, 'continue', caller)).kind, 'resolved')
      await finish(server, await joined(server))
      assert.equal((await deployments.resolveHold(id, 'continue', caller)).kind, 'not-held')
    })

    test('cannot set the boot device is cancelled into rescue like any other', async () => {
      const server = await bench.addServer()
      let broken = true
      const { bmc } = server
      const heal = withFaults(server, {
        setBootDevice: async (to, signal) => {
          if (broken) await fails('refused')()
          await bmc.setBootDevice(to, signal)
        },
      })
      const id = await server.start()
      await eventually('a failed try', async () => (await rowOf(id)).tries > 0)
      broken = false
      await server.forget()
      await rescued(server, 0)
      heal()
      assert.equal(await server.bootDevice(), 'network')
      assert.equal(await server.current(), null)
    })
  })

  test('is watched to its end, and resumed by the number of an event', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const states: string[] = []
    let last = 0
    const watching = (async () => {
      for await (const event of bench.ports.deployments.watch(id, 0, new AbortController().signal)) {
        assert.ok(event.id > last)
        last = event.id
        states.push(event.view.state)
      }
    })()
    await finish(server, await joined(server))
    await watching
    assert.ok(states.length > 3)
    assert.equal(states.at(-1), 'done')
    const rest = []
    for await (const event of bench.ports.deployments.watch(id, last - 1, new AbortController().signal)) {
      rest.push(event.id)
    }
    assert.deepEqual(rest, [last])
  })
})

test('deployments leave an audit whose chain is whole, and which nobody can change', async () => {
  assert.equal(await verifyAudit(bench.db), null)
  const change = bench.db.updateTable('audit').set({ actor: 'nobody' }).where('id', '=', 1).execute()
  await assert.rejects(change, /never changed/)
  await sql`alter table audit disable trigger audit_append_only`.execute(bench.db)
  await bench.db.updateTable('audit').set({ actor: 'nobody' }).where('id', '=', 3).execute()
  await sql`alter table audit enable trigger audit_append_only`.execute(bench.db)
  assert.equal(await verifyAudit(bench.db), 3)
})
