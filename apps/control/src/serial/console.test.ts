import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BmcError, type BmcFault } from '@byoi/bmc'
import { sql } from 'kysely'
import { caller, eventually } from '../control-plane.fixture.ts'
import { verifyAudit } from '../store/audit.ts'
import { opened, openSerialBench, type SerialBench, type SerialServer } from './serial.fixture.ts'

const prompt = '\r\nDebian GNU/Linux 12 node-1 ttyS0\r\n\r\nnode-1 login: '

/** How long after the start from its disk a server's console is listened to, in ms. */
const consoleAfterMs = 6000

let bench: SerialBench
before(async () => {
  bench = await openSerialBench({ consoleAfterMs })
})
after(async () => {
  assert.equal(await verifyAudit(bench.db), null)
  await bench.close()
})

const recordedAs = async (id: string, text: string) =>
  await eventually(`${JSON.stringify(text)} to be recorded`, async () => (await bench.recorded(id)) === text)

const bootedBy = async (server: SerialServer) =>
  await eventually('the boot', async () => (await server.current())?.booted ?? null)

/** Looks at a server's console until the test has ended, and gives what was shown so far. */
function look(t: { after(fn: () => void): void }, server: SerialServer, from: number | null = null) {
  const gone = new AbortController()
  t.after(() => gone.abort())
  const seen = { text: '', states: [] as string[], messages: [] as string[], position: 0 }
  const looking = (async () => {
    for await (const event of bench.ports.serial.follow(server.id, from, gone.signal)) {
      if (event.kind === 'output') {
        seen.text += Buffer.from(event.data).toString('latin1')
        seen.position = event.position
      } else if (event.kind === 'missing') seen.text += `<${event.bytes}>`
      else {
        seen.states.push(event.state)
        seen.messages.push(event.message ?? '')
      }
    }
  })()
  const leave = async () => {
    gone.abort()
    await looking
  }
  return { seen, leave }
}

const sees = async (seen: { text: string }, text: string) =>
  await eventually(`${JSON.stringify(text)} to be seen, not ${JSON.stringify(seen.text)}`, async () =>
    seen.text.endsWith(text),
  )

describe('a console', { concurrency: 6 }, () => {
  test('is recorded from power-on until some time after the end, and no longer', async () => {
    const server = await bench.addSerialServer()
    const id = await bench.deploy(server, { agent: 'agent\r\n', system: 'system\r\n' })
    await recordedAs(id, 'agent\r\nsystem\r\n')
    await eventually('the console to be closed', async () => !server.line.isOpen)
    const { ended_at } = await bench.db
      .selectFrom('deployment')
      .select('ended_at')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    const lasted = Date.now() - (ended_at?.getTime() ?? 0)
    assert.ok(lasted >= 5500 && lasted < 15_000, `${lasted} ms`)
    assert.equal(server.line.opened, 1)
  })

  test('that drops at each power cycle is opened again, and nothing is recorded twice', async () => {
    const server = await bench.addSerialServer()
    const id = await server.start()
    await server.boots()
    for (const [round, word] of ['one ', 'two ', 'three '].entries()) {
      await opened(server)
      assert.equal(server.line.opened, round + 1)
      server.line.say(word)
      server.line.drop()
    }
    await recordedAs(id, 'one two three ')
    await server.forget()
  })

  for (const fault of ['in-use', 'authentication'] as BmcFault[]) {
    test(`that cannot be had (${fault}) is told to viewers, noted once, and never keeps a deployment`, async (t) => {
      const server = await bench.addSerialServer()
      server.line.fault = new BmcError('The console is held by another.', {
        fault,
        outcome: 'refused',
        remedy: 'Let go of it.',
      })
      const { seen } = look(t, server)
      const id = await server.start()
      const agent = await server.boots()
      await agent.join()
      await agent.permit()
      await eventually('the note', async () => (await server.current())?.notes.length === 1)
      const sentence = 'The console is held by another. Let go of it.'
      const state = fault === 'in-use' ? 'in-use' : 'failed'
      await eventually('the state', async () => seen.states.includes(state))
      assert.equal(seen.messages[seen.states.indexOf(state)], sentence)
      if (fault === 'in-use') {
        server.line.fault = null
        await opened(server)
        server.line.say('here')
        await recordedAs(id, 'here')
      }
      await agent.published()
      const view = await eventually('done', async () => {
        const found = await server.current()
        return found?.state === 'done' ? found : null
      })
      assert.deepEqual(
        view.notes.filter((note) => note.includes('serial')),
        [`The serial console is not recorded. ${sentence}`],
      )
      // A password that is refused is not tried again soon: BMCs lock accounts.
      assert.equal(server.line.asked, fault === 'in-use' ? server.line.asked : 1)
    })
  }

  test('whose driver breaks off with anything at all is opened again', async (t) => {
    const server = await bench.addSerialServer()
    const { seen } = look(t, server)
    await opened(server)
    server.line.say('before ')
    server.line.drop(new TypeError('no driver of ours: \u001b]0;hostile\u0007'))
    await eventually('the failure', async () => seen.states.includes('failed'))
    assert.ok(seen.messages.includes('The console failed unexpectedly.'))
    await eventually('the next session', async () => server.line.opened === 2 && server.line.isOpen)
    server.line.say('after')
    await sees(seen, 'before after')
  })

  test('is kept open for whoever looks, and shown to each viewer once, from the past on', async (t) => {
    const server = await bench.addSerialServer()
    const first = look(t, server)
    await opened(server)
    server.line.say('one ')
    await sees(first.seen, 'one ')
    const second = look(t, server)
    await sees(second.seen, 'one ')
    server.line.say('two ')
    for (const { seen } of [first, second]) await sees(seen, 'one two ')
    await first.leave()
    server.line.say('three ')
    await sees(second.seen, 'one two three ')
    const again = look(t, server, first.seen.position)
    await sees(again.seen, 'three ')
    assert.equal(again.seen.text, 'three ')
    assert.equal(server.line.opened, 1)
    for (const { leave } of [second, again]) await leave()
    const left = performance.now()
    await eventually('the console to be closed', async () => !server.line.isOpen, 60_000)
    assert.ok(performance.now() - left > 5000, 'who comes back soon finds it open')
  })

  test('gives a viewer who goes on where nothing is kept any more the newest bytes', async (t) => {
    const server = await bench.addSerialServer()
    const first = look(t, server)
    await opened(server)
    server.line.say('text')
    await sees(first.seen, 'text')
    const again = look(t, server, 1)
    await sees(again.seen, 'text')
  })

  test('takes what is typed, in order, and only while it is open', async (t) => {
    const server = await bench.addSerialServer()
    const type = bench.ports.serial.typist({ serverId: server.id, serviceName: server.name }, caller)
    await type(Buffer.from('too early'))
    look(t, server)
    await opened(server)
    await sleep(200)
    for (const word of ['reboot', '\r', 'x'.repeat(10_000)]) await type(Buffer.from(word))
    await eventually('the input', async () => server.line.typed.length >= 10_007)
    assert.equal(server.line.typed, `reboot\r${'x'.repeat(10_000)}`)
    const rows = await bench.db
      .selectFrom('audit')
      .select(['actor', 'detail'])
      .where('action', '=', 'console.type')
      .where('service_name', '=', server.name)
      .execute()
    assert.equal(rows.length, 1)
    assert.match(rows[0]?.actor ?? '', /^key testkey account acme/)
  })

  test('keeps nothing of what is typed', async (t) => {
    const server = await bench.addSerialServer()
    const type = bench.ports.serial.typist({ serverId: server.id, serviceName: server.name }, caller)
    look(t, server)
    await opened(server)
    await sleep(200)
    await type(Buffer.from('canary-typed\r'))
    await eventually('the input', async () => server.line.typed === 'canary-typed\r')
    const { rows } = await sql<{ name: string }>`
      select table_schema || '.' || table_name as name from information_schema.tables
      where table_schema in ('public', 'pgboss') and table_type = 'BASE TABLE'`.execute(bench.db)
    for (const { name } of rows) {
      const base64 = Buffer.from('canary-typed').toString('base64').slice(0, -4)
      const found = await sql<{ count: number }>`
        select count(*)::integer as count from ${sql.table(name)} as t
        where t::text like '%canary-typed%' or t::text like ${`%${base64}%`}
          or t::text like ${`%${Buffer.from('canary-typed').toString('hex')}%`}`.execute(bench.db)
      assert.equal(found.rows[0]?.count, 0, name)
    }
  })

  test('that is flooded stays readable, bounded, and tells what is missing', async () => {
    const server = await bench.addSerialServer()
    const id = await server.start()
    await server.boots()
    await opened(server)
    const chunk = Buffer.alloc(64 * 1024, 'flood ')
    for (let at = 0; at < 128; at += 1) {
      server.line.say(chunk)
      await sleep(1)
    }
    server.line.say('')
    await eventually('the flood to end', async () => {
      const before = await bench.recorded(id, -10)
      await sleep(700)
      return before !== '' && before === (await bench.recorded(id, -10))
    })
    server.line.say('END')
    const text = await eventually('the end', async () => {
      const found = await bench.recorded(id)
      return found.endsWith('END') ? found : null
    })
    const missing = [...text.matchAll(/<(\d+)>/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
    const kept = text.replaceAll(/<\d+>/g, '').length
    assert.equal(kept + missing, 128 * 64 * 1024 + 3)
    assert.ok(kept <= 4 * 1024 * 1024 + 64 * 1024 && missing > 0, `${kept} kept, ${missing} missing`)
    await server.forget()
  })
})

describe('evidence that a system has booted', { concurrency: 6 }, () => {
  test('is its login prompt, stored once, beside done', async () => {
    const server = await bench.addSerialServer()
    const id = await bench.deploy(server, { system: prompt })
    const booted = await bootedBy(server)
    assert.equal(booted.by, 'login-prompt')
    assert.equal((await server.current())?.state, 'done')
    server.line.say(prompt)
    await recordedAs(id, prompt + prompt)
    assert.deepEqual((await server.current())?.booted, booted)
    const rows = await bench.db
      .selectFrom('audit')
      .select('actor')
      .where('deployment_id', '=', id)
      .where('action', '=', 'deployment.booted')
      .execute()
    assert.deepEqual(rows, [{ actor: 'serial console' }])
  })

  test('is a prompt that nothing follows, wherever it stands', async () => {
    const server = await bench.addSerialServer()
    await bench.deploy(server, { system: '[ 9.9] crng init done\r\nnode-1 login: ' })
    assert.equal((await bootedBy(server)).by, 'login-prompt')
  })

  test('is not what was shown before the server was started from its disk', async () => {
    const server = await bench.addSerialServer()
    const id = await bench.deploy(server, { agent: prompt, system: 'kernel panic' })
    await recordedAs(id, `${prompt}kernel panic`)
    await sleep(1500)
    assert.equal((await server.current())?.booted, null)
  })

  test('comes to those who follow the events, who are not kept for ever where none comes', async () => {
    const follow = async (id: string) => {
      const views = []
      for await (const { view } of bench.ports.deployments.watch(id, 0, AbortSignal.timeout(30_000)))
        views.push(view)
      return views
    }
    const [lucky, silent] = [await bench.addSerialServer(), await bench.addSerialServer()]
    const [luckyId, silentId] = await Promise.all([bench.deploy(lucky), bench.deploy(silent)])
    const [luckyViews, silentViews] = [follow(luckyId), follow(silentId)]
    lucky.line.say(prompt)
    assert.equal((await luckyViews).at(-1)?.booted?.by, 'login-prompt')
    const views = await silentViews
    assert.deepEqual([views.at(-1)?.state, views.at(-1)?.booted], ['done', null])
  })

  test('is not waited for where no console can bring it', async () => {
    const server = await bench.addServer()
    const id = await server.start()
    const agent = await server.boots()
    await agent.join()
    await agent.permit()
    await agent.published()
    let doneAt: number | null = null
    for await (const { view } of bench.ports.deployments.watch(id, 0, AbortSignal.timeout(30_000)))
      if (view.state === 'done') doneAt ??= performance.now()
    assert.ok(doneAt !== null, 'the deployment is done')
    // Where it was waited for, the events would go on for that long.
    assert.ok(performance.now() - doneAt < consoleAfterMs, 'nothing was waited for')
  })
})
