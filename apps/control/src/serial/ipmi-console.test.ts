import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { IpmiConsole } from '@byoi/bmc'
import { caller, eventually } from '../control-plane.fixture.ts'
import { readState } from './console-state.ts'
import { password, type SimulatedBmc, startSimulatedBmc, user } from './ipmi-sim.fixture.ts'
import { openSerialBench, type SerialBench, type SerialServer, withConsole } from './serial.fixture.ts'

function absent(): string | false {
  const missing = ['ipmi_sim', 'ipmitool'].filter((tool) => {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' })
      return false
    } catch {
      return true
    }
  })
  return missing.length === 0 ? false : `absent: ${missing.join(', ')}`
}

describe("a real BMC program's serial over LAN", { skip: absent() }, () => {
  let bench: SerialBench
  let bmc: SimulatedBmc
  let server: SerialServer
  let id: string
  const gone = new AbortController()

  before(async () => {
    bench = await openSerialBench()
    bmc = await startSimulatedBmc()
    server = await bench.addSerialServer()
    const { openBmc } = bench.context
    const options = {
      host: '127.0.0.1',
      port: bmc.port,
      user,
      password,
      firmware: 'uefi',
      cipherSuite: null,
    } as const
    bench.context.openBmc = (row) => {
      const other = openBmc(row)
      if (row.id !== server.id) return other
      return withConsole(other, new IpmiConsole({ ...options, commandIntervalMs: 0 }))
    }
  })
  after(async () => {
    gone.abort()
    await bench.close()
    await bmc.stop()
  })

  const isOpen = async () =>
    await eventually(
      'the console to be open',
      async () => (await readState(bench.db, server.id)).state === 'open',
      60_000,
    )
  const recorded = async (text: string) =>
    await eventually(`${JSON.stringify(text)} to be recorded`, async () =>
      (await bench.recorded(id)).endsWith(text),
    )

  test('is recorded with a deployment, every byte', async () => {
    id = await server.start()
    const agent = await server.boots()
    await isOpen()
    const boot = Array.from(
      { length: 2000 },
      (_, at) => `[ ${at}.123456] a line of a kernel that boots\r\n`,
    ).join('')
    bmc.say(boot)
    await eventually('all of it', async () => (await bench.recorded(id)).length >= boot.length, 60_000)
    assert.equal(await bench.recorded(id), boot)
    await agent.join()
    await agent.permit()
    await agent.published()
    await eventually('done', async () => (await server.current())?.state === 'done')
  })

  test('takes what is typed as it is, also what would be a command to ipmitool', async () => {
    void (async () => {
      for await (const event of bench.ports.serial.follow(server.id, null, gone.signal)) void event
    })()
    const type = bench.ports.serial.typist({ serverId: server.id, serviceName: server.name }, caller)
    const keys = 'root\r~.\r~?\r~B\r\u001b[A\u0003~~.\r'
    for (const key of keys) await type(Buffer.from(key))
    await eventually(`the keys, not ${JSON.stringify(bmc.typed)}`, async () => bmc.typed === keys)
    bmc.say('still here')
    await recorded('still here')
  })

  test('that is lost with its BMC is opened again when that is back', async () => {
    await bmc.kill()
    // A packet that nobody takes; without one ipmitool asks by itself, later.
    const type = bench.ports.serial.typist({ serverId: server.id, serviceName: server.name }, caller)
    await type(Buffer.from('x'))
    await eventually('the loss', async () => (await readState(bench.db, server.id)).state !== 'open', 60_000)
    await bmc.start()
    await isOpen()
    bmc.say('and back')
    await recorded('still hereand back')
  })

  test('shows the login prompt of the system that was deployed', async () => {
    bmc.say('\r\nDebian GNU/Linux 12 node-1 ttyS0\r\n\r\nnode-1 login: ')
    const booted = await eventually('the boot', async () => (await server.current())?.booted ?? null)
    assert.equal(booted.by, 'login-prompt')
  })
})
