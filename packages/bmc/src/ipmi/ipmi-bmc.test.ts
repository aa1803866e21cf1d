import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, type TestContext, test } from 'node:test'
import { BmcError, type BmcFault } from '../bmc.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { HonestChassis, startIpmiSim } from '../testing/ipmi-sim.ts'
import { RmcpBmc, type RmcpBmcOptions } from '../testing/rmcp-bmc.ts'
import { UdpProxy } from '../testing/udp-proxy.ts'
import { IpmiBmc } from './ipmi-bmc.ts'
import { type IpmiOptions } from './ipmi-options.ts'

const tools = ['/usr/bin/ipmitool', '/usr/bin/ipmi_sim', '/usr/bin/curl']
const absent = tools.filter((each) => !existsSync(each))
const skip = absent.length === 0 ? false : `needs ${absent.join(', ')}`
const signal = new AbortController().signal

/** The driver, ipmitool, a proxy, ipmi_sim. Waits of the driver itself take no time. */
async function setUp(t: TestContext, options: { password?: string } = {}) {
  const chassis = new HonestChassis()
  const sim = await startIpmiSim(chassis)
  const proxy = new UdpProxy(sim.port)
  const port = await proxy.listen()
  t.after(async () => {
    proxy.close()
    await sim.stop()
  })
  const clock = new FakeClock()
  const bmc = new IpmiBmc({
    host: '127.0.0.1',
    port,
    user: sim.user,
    password: options.password ?? sim.password,
    firmware: 'uefi',
    cipherSuite: null,
    commandIntervalMs: 0,
    clock,
  })
  return { bmc, chassis, sim, proxy, clock }
}

const failsWith =
  (fault: BmcFault, outcome: BmcError['outcome']) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof BmcError, String(error))
    assert.deepEqual([error.fault, error.outcome], [fault, outcome], error.message)
    return true
  }

const OPEN_REQUEST = 0x10
const RAKP1 = 0x12
const isPlus = (packet: Buffer, type: number) => packet[4] === 0x06 && packet[5] === type

describe('IPMI with ipmitool and ipmi_sim', { skip }, () => {
  test('a server is turned on and off, and what is so already stays so', async (t) => {
    const { bmc, chassis } = await setUp(t)
    assert.equal(await bmc.readPower(signal), 'off')
    await bmc.setPower('off', signal)
    await bmc.setPower('on', signal)
    assert.equal(await bmc.readPower(signal), 'on')
    await bmc.setPower('on', signal)
    await bmc.setPower('off', signal)
    assert.equal(await bmc.readPower(signal), 'off')
    assert.deepEqual(chassis.log, ['power 0', 'power 1', 'power 1', 'power 0'])
  })

  test('the boot device is set for each kind of start, although ipmi_sim does not show the flags whole', async (t) => {
    const { bmc, chassis } = await setUp(t)
    for (const device of ['network', 'cd', 'disk', null] as const) await bmc.setBootDevice(device, signal)
    assert.deepEqual(chassis.log, ['boot pxe', 'boot cdrom', 'boot default', 'boot none'])
    assert.equal(await bmc.readBootDevice(signal), null)
  })

  test('cipher suite 17 is tried once and 3 from then on, never a lower one', async (t) => {
    const { bmc, proxy } = await setUp(t)
    const authentication: (number | undefined)[] = []
    proxy.pass = (packet, from) => {
      if (from === 'client' && isPlus(packet, OPEN_REQUEST)) authentication.push(packet[28])
      return packet
    }
    await bmc.readPower(signal)
    await bmc.readBootDevice(signal)
    const [sha256, sha1] = [3, 1]
    assert.deepEqual(authentication, [sha256, sha1, sha1, sha1])
  })

  test('a BMC tells what it is, and that it takes any password by cipher suite 0', async (t) => {
    const { bmc } = await setUp(t)
    const { weaknesses, ...rest } = await bmc.identify(signal)
    assert.deepEqual(rest, {
      vendor: 'MontaVista Software, Inc.',
      model: null,
      firmware: '9.08',
      serial: null,
    })
    assert.equal(weaknesses.length, 1)
    assert.match(weaknesses[0] ?? '', /cipher suite 0/)
  })

  test('a wrong password is tried once per call', async (t) => {
    const { bmc, proxy, chassis } = await setUp(t, { password: 'wrong' })
    let logins = 0
    proxy.pass = (packet, from) => {
      if (from === 'client' && isPlus(packet, RAKP1)) logins++
      return packet
    }
    await assert.rejects(bmc.setPower('on', signal), failsWith('authentication', 'refused'))
    assert.equal(logins, 1)
    await assert.rejects(bmc.identify(signal), failsWith('authentication', 'refused'))
    assert.equal(logins, 2)
    assert.deepEqual(chassis.log, [])
  })

  test('a BMC that takes each command and does nothing is found out', async (t) => {
    const { bmc, chassis } = await setUp(t)
    chassis.set = () => undefined
    chassis.values['power'] = '1'
    await assert.rejects(bmc.setBootDevice('network', signal), failsWith('not-done', 'unknown'))
    await assert.rejects(bmc.setPower('off', signal), failsWith('not-done', 'unknown'))
  })

  test('a BMC that shows old values for a while is waited for', async (t) => {
    const { bmc, chassis, clock } = await setUp(t)
    const began = clock.now()
    const truth = (name: string) => chassis.values[name] ?? '0'
    chassis.get = (name) => (clock.now() - began < 60_000 ? '0' : truth(name))
    await bmc.setPower('on', signal)
    assert.ok(clock.now() - began >= 60_000)
    assert.equal(chassis.values['power'], '1')
  })

  for (const [readings, power] of [
    ['0 0', 'off'],
    ['0 1', 'on'],
    ['1', 'on'],
  ] as const) {
    test(`power that reads ${readings} is ${power}`, async (t) => {
      const { bmc, chassis, clock } = await setUp(t)
      const left = readings.split(' ')
      const times: number[] = []
      chassis.get = () => {
        times.push(clock.now())
        return left.shift() ?? assert.fail('read more often')
      }
      assert.equal(await bmc.readPower(signal), power)
      assert.deepEqual(left, [])
      if (times.length === 2) assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 2000)
    })
  }

  test('a command that the BMC fails at is done when the server reads as it should', async (t) => {
    const { bmc, chassis } = await setUp(t)
    chassis.set = () => assert.fail('0xff')
    await bmc.setPower('off', signal)
    await assert.rejects(bmc.setPower('on', signal), failsWith('refused', 'unknown'))
  })

  test('an answer that is lost is asked for again', async (t) => {
    const { bmc, proxy } = await setUp(t)
    let lost = 0
    proxy.pass = (packet, from) => (from === 'bmc' && lost++ === 0 ? null : packet)
    assert.equal(await bmc.readPower(signal), 'off')
    assert.ok(lost > 1)
  })

  test('answers that come late are waited for', async (t) => {
    const { bmc, proxy } = await setUp(t)
    proxy.pass = async (packet, from) => {
      if (from === 'bmc') await new Promise((resolve) => setTimeout(resolve, 200))
      return packet
    }
    assert.equal(await bmc.readPower(signal), 'off')
  })

  test('an abort ends the call with its reason, and ipmitool with it', async (t) => {
    const { bmc, proxy } = await setUp(t)
    const abort = new AbortController()
    proxy.pass = () => {
      abort.abort(new Error('enough'))
      return null
    }
    await assert.rejects(bmc.readPower(abort.signal), { message: 'enough' })
  })
})

const withTool = existsSync('/usr/bin/ipmitool') ? false : 'needs ipmitool'

describe('IPMI with ipmitool and a BMC with cipher suite 17 that shows boot flags whole', {
  skip: withTool,
}, () => {
  async function talking(t: TestContext, bmc: Partial<RmcpBmcOptions>, options: Partial<IpmiOptions> = {}) {
    const account = { user: 'admin', password: 'secret' }
    const far = new RmcpBmc({ ...account, suites: [17], manufacturer: 674, ...bmc })
    const port = await far.listen()
    t.after(() => far.close())
    const near = { host: '127.0.0.1', port, ...account, firmware: 'uefi', cipherSuite: null } as const
    return { far, bmc: new IpmiBmc({ ...near, commandIntervalMs: 0, clock: new FakeClock(), ...options }) }
  }

  const supermicro = 10_876
  for (const { firmware, manufacturer, hex } of [
    { firmware: 'uefi', manufacturer: 674, hex: ['a004000000', 'a014000000', 'a008000000', '0000000000'] },
    { firmware: 'legacy', manufacturer: 674, hex: ['8004000000', '8014000000', '8008000000', '0000000000'] },
    {
      firmware: 'uefi',
      manufacturer: supermicro,
      hex: ['a004000000', 'a014000000', 'a024000000', '0000000000'],
    },
  ] as const) {
    test(`each boot device of a ${firmware} server of ${manufacturer} is set, kept and read`, async (t) => {
      const { far, bmc } = await talking(t, { manufacturer }, { firmware })
      const seen: string[] = []
      for (const device of ['network', 'cd', 'disk', null] as const) {
        await bmc.setBootDevice(device, signal)
        seen.push(far.bootFlags.toString('hex'))
        assert.equal(await bmc.readBootDevice(signal), device)
      }
      assert.deepEqual(seen, hex)
      assert.ok(far.flagsKept)
    })
  }

  test('a BMC that is well set up has no weakness', async (t) => {
    const { bmc } = await talking(t, { manufacturer: supermicro })
    const { vendor, firmware, weaknesses } = await bmc.identify(signal)
    assert.deepEqual([vendor, firmware, weaknesses], ['Super Micro Computer Inc.', '2.45', []])
  })

  test('logins without a password, a name or either are told', async (t) => {
    // Authentication type NONE; names of zero length, and anonymous login.
    const capabilities = Buffer.from([1, 0x81, 0x07, 0x02, 0, 0, 0, 0])
    const { bmc } = await talking(t, {
      suites: [0, 3],
      answer: ({ netFn, command }) => (netFn === 0x06 && command === 0x38 ? capabilities : undefined),
    })
    const { weaknesses } = await bmc.identify(signal)
    const about = [/without a user and a password/, /without a name/, /IPMI 1\.5/, /cipher suite 0/]
    assert.equal(weaknesses.length, about.length)
    for (const [index, each] of about.entries()) assert.match(weaknesses[index] ?? '', each)
  })
})
