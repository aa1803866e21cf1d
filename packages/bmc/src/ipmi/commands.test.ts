import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { type IpmitoolTextName } from '../testing/ipmitool-texts.ts'
import { fails, succeeds } from '../testing/simulated-ipmitool.ts'
import { IpmiBmc } from './ipmi-bmc.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { type IpmitoolRun, type RunIpmitool, type SessionWish } from './ipmitool.ts'
import { IpmiFailure } from './ipmi-failure.ts'

const { signal } = new AbortController()
const ok = succeeds('Chassis Power is on\n')
let port = 30_000

interface Ran {
  at: number
  session: SessionWish
  command: string
}

/** A driver whose ipmitool tells one result after the other, the last one for ever. */
function scripted(results: (IpmitoolRun | IpmitoolTextName)[], options: Partial<IpmiOptions> = {}) {
  const clock = new FakeClock()
  const ran: Ran[] = []
  const run: RunIpmitool = async (command, session) => {
    const result = results[Math.min(ran.length, results.length - 1)] ?? ok
    ran.push({ at: clock.now(), session, command: command.join(' ') })
    return typeof result === 'string' ? fails(result) : result
  }
  const all: IpmiOptions = {
    host: 'bmc.example.test',
    port: port++,
    user: 'admin',
    password: 'secret',
    firmware: 'uefi',
    cipherSuite: null,
    commandIntervalMs: 0,
    clock,
    ...options,
  }
  return { bmc: new IpmiBmc(all, run), again: () => new IpmiBmc(all, run), clock, ran, run, options: all }
}

const suites = (ran: Ran[]) => ran.map(({ session }) => session.cipherSuite)

describe('Cipher suites', () => {
  for (const { what, cipherSuite, results, tried } of [
    { what: '17 first', cipherSuite: null, results: [ok], tried: [17] },
    {
      what: '3 where there is no 17',
      cipherSuite: null,
      results: ['has no such authentication', ok],
      tried: [17, 3],
    },
    { what: 'none below 3', cipherSuite: null, results: ['has no such cipher suite'], tried: [17, 3] },
    { what: 'only 17 where it is set', cipherSuite: 17, results: ['invalid'], tried: [17] },
    { what: 'only 3 where it is set', cipherSuite: 3, results: ['invalid'], tried: [3] },
  ] as const) {
    test(`${what}: ${tried.join(', ')}`, async () => {
      const script = results.map((each) => (each === 'invalid' ? 'gives the role to no such suite' : each))
      const { bmc, ran } = scripted(script, { cipherSuite })
      await bmc.readPower(signal).catch((error: unknown) => assert.ok(error instanceof IpmiFailure))
      assert.deepEqual(suites(ran), tried)
    })
  }

  test('the one that a BMC took is the first from then on, for every driver of this process', async () => {
    const { bmc, again, ran } = scripted(['has no such authentication', ok])
    await bmc.readPower(signal)
    await again().readPower(signal)
    assert.deepEqual(suites(ran), [17, 3, 3])
  })

  test('a BMC that has another one after an update is found again', async () => {
    const { bmc, ran } = scripted(['has no such authentication', ok, 'has no such authentication', ok])
    await bmc.readPower(signal)
    await bmc.readPower(signal)
    assert.deepEqual(suites(ran), [17, 3, 3, 17])
  })
})

describe('Privilege', () => {
  const levels = (ran: Ran[]) => ran.map(({ session }) => session.privilege)

  for (const text of ['limits the session', 'gives the account less'] as const) {
    test(`OPERATOR after a BMC that ${text}, and from then on`, async () => {
      const { bmc, ran } = scripted([text, ok])
      await bmc.readPower(signal)
      await bmc.readPower(signal)
      assert.deepEqual(levels(ran), ['ADMINISTRATOR', 'OPERATOR', 'OPERATOR'])
    })

    test(`nothing after OPERATOR for a BMC that ${text}`, async () => {
      const { bmc, ran } = scripted([text])
      await assert.rejects(bmc.readPower(signal), { fault: 'refused', message: /privilege/ })
      assert.deepEqual(levels(ran), ['ADMINISTRATOR', 'OPERATOR'])
    })
  }
})

describe('Tries', () => {
  for (const { text, tries } of [
    { text: 'says nothing', tries: 13 },
    { text: 'is busy', tries: 13 },
    { text: 'has no session left', tries: 13 },
    { text: 'falls silent at RAKP 1', tries: 13 },
    { text: 'lost the half-open session', tries: 2 },
    { text: 'damages its answers', tries: 2 },
    { text: 'has another password', tries: 1 },
    { text: 'does not know the user', tries: 1 },
    { text: 'does not have the command', tries: 1 },
    { text: 'is being updated', tries: 1 },
    { text: 'forbids it to the account', tries: 1 },
  ] as const) {
    test(`a BMC that ${text} is asked ${tries} times, 5 s apart, for a minute`, async () => {
      const { bmc, ran } = scripted([text])
      await assert.rejects(bmc.readPower(signal), IpmiFailure)
      assert.deepEqual(
        ran.map(({ at }) => at),
        Array.from({ length: tries }, (_, index) => index * 5000),
      )
    })
  }

  test('a power command that may have been carried out is not repeated: the power is read', async () => {
    const { bmc, ran } = scripted(['is busy', 'falls silent at a power command', ok])
    await bmc.setPower('on', signal)
    assert.deepEqual(
      ran.map(({ command }) => command),
      ['chassis power on', 'chassis power on', 'chassis power status'],
    )
  })

  test('off is read twice after a command that the BMC refuses because it is so', async () => {
    const off = succeeds('Chassis Power is off\n')
    const { bmc, ran } = scripted(['cannot in this state', off])
    await bmc.setPower('off', signal)
    assert.deepEqual(
      ran.map(({ command }) => command),
      ['chassis power off', 'chassis power status', 'chassis power status'],
    )
  })

  test('a command that is refused because it is so already has succeeded, also when what is shown lags behind', async () => {
    const clock = new FakeClock()
    const { options } = scripted([], { clock })
    const sent: string[] = []
    const run: RunIpmitool = async ([, , verb = '']) => {
      if (verb !== 'status') sent.push(verb)
      if (verb !== 'status') return fails('has a code of its own for the command')
      return succeeds(`Chassis Power is ${clock.now() < 4000 ? 'on' : 'off'}\n`)
    }
    await new IpmiBmc(options, run).setPower('off', signal)
    assert.deepEqual(sent, ['off'])
  })

  test('a server in its self-test, which refuses to be turned off, is asked again for a minute', async () => {
    const clock = new FakeClock()
    const { options } = scripted([], { clock })
    const run: RunIpmitool = async ([, , verb]) =>
      verb === 'status'
        ? succeeds(`Chassis Power is ${clock.now() > 30_000 ? 'off' : 'on'}\n`)
        : clock.now() > 20_000
          ? succeeds('Chassis Power Control: Down/Off\n')
          : fails('cannot in this state')
    await new IpmiBmc(options, run).setPower('off', signal)
    assert.ok(clock.now() >= 30_000 && clock.now() < 60_000)
  })

  test('a call ends within 150 s, also when each part of it takes its time', async () => {
    const clock = new FakeClock()
    const { options } = scripted([], { clock, commandIntervalMs: 5000 })
    const run: RunIpmitool = async ([, , verb]) => {
      await clock.sleep(300, signal)
      if (clock.now() < 55_000) return fails('is busy')
      return succeeds(verb === 'status' ? 'Chassis Power is off\n' : 'Chassis Power Control: Up/On\n')
    }
    await assert.rejects(new IpmiBmc(options, run).setPower('on', signal), { fault: 'not-done' })
    assert.ok(clock.now() > 130_000 && clock.now() <= 150_000, String(clock.now()))
  })

  test('an abort during a pause ends the call with its reason', async () => {
    const { bmc, ran } = scripted(['is busy'])
    const abort = new AbortController()
    abort.abort(new Error('enough'))
    await assert.rejects(bmc.readPower(abort.signal), { message: 'enough' })
    assert.deepEqual(ran, [])
  })
})

describe('The boot device', () => {
  const invalid =
    'Boot parameter version: 1\nBoot parameter 5 is invalid/locked\nBoot parameter data: a004000000\n'

  for (const { what, results, reads } of [
    { what: 'does not know parameter 3', results: [[3, 'does not take the data']], reads: 'a004000000' },
    {
      what: 'fails at parameter 3',
      results: [[3, 'has a code of its own for the command']],
      reads: 'a004000000',
    },
    { what: 'cannot show the flags', results: [['get', 'does not show the boot flags']], reads: '' },
    { what: 'has the flags locked', results: [['get', succeeds(invalid)]], reads: '' },
    { what: 'does not show them as valid', results: [], reads: '0004000000' },
  ] as const) {
    test(`is set on a BMC that ${what}`, async () => {
      const sent: string[] = []
      const { options } = scripted([])
      const run: RunIpmitool = async (command) => {
        const [kind = '', , , parameter = ''] = command
        const key = kind === 'raw' ? Number(parameter) : kind === 'mc' ? 'info' : 'get'
        sent.push(String(key))
        const [, result] = results.find(([name]) => name === key) ?? []
        if (result !== undefined) return typeof result === 'string' ? fails(result) : result
        if (key === 'info') return succeeds('Manufacturer ID           : 674\n')
        return succeeds(key === 'get' ? `Boot parameter data: ${reads}\n` : '\n')
      }
      await new IpmiBmc(options, run).setBootDevice('network', signal)
      assert.deepEqual(sent, ['info', '3', '5', 'get'])
    })
  }

  test('is read until a BMC that shows the old one for a minute shows the new one', async () => {
    const clock = new FakeClock()
    const { options } = scripted([], { clock })
    const run: RunIpmitool = async ([kind]) => {
      if (kind === 'mc') return succeeds('Manufacturer ID           : 674\n')
      const hex = clock.now() < 60_000 ? 'a008000000' : 'a004000000'
      return succeeds(kind === 'raw' ? '\n' : `Boot parameter data: ${hex}\n`)
    }
    await new IpmiBmc(options, run).setBootDevice('network', signal)
    assert.ok(clock.now() >= 60_000)
  })

  test('an account that may not write it is told so', async () => {
    const { bmc } = scripted([succeeds('Manufacturer ID : 674\n'), 'forbids it to the account'])
    await assert.rejects(bmc.setBootDevice('network', signal), { fault: 'refused', outcome: 'refused' })
  })
})

describe('Commands of several drivers to one BMC', () => {
  test('go one at a time and 5 s apart', async () => {
    const clock = new FakeClock()
    const { options } = scripted([], { clock, commandIntervalMs: 5000 })
    const ran: { from: number; to: number }[] = []
    let running = 0
    const run: RunIpmitool = async () => {
      assert.equal(running++, 0, 'alone')
      const from = clock.now()
      await clock.sleep(700, signal)
      running--
      ran.push({ from, to: clock.now() })
      return ok
    }
    const calls = Array.from({ length: 4 }, () => new IpmiBmc(options, run).readPower(signal))
    await Promise.all(calls)
    for (const [index, { from }] of ran.entries()) {
      assert.ok(index === 0 || from - (ran[index - 1]?.to ?? 0) >= 5000)
    }
    assert.equal(ran.length, 4)
  })

  test('a call that is aborted while it waits leaves the queue, and the next one has its turn', async () => {
    const { options } = scripted([])
    const gate = Promise.withResolvers<void>()
    const ran: string[] = []
    const named = (name: string) =>
      new IpmiBmc(options, async () => {
        ran.push(name)
        if (name === 'first') await gate.promise
        return ok
      })
    const abort = new AbortController()
    const first = named('first').readPower(signal)
    const second = named('second').readPower(abort.signal)
    const third = named('third').readPower(signal)
    abort.abort(new Error('enough'))
    await assert.rejects(second, { message: 'enough' })
    assert.deepEqual(ran, ['first'])
    gate.resolve()
    await Promise.all([first, third])
    assert.deepEqual(ran, ['first', 'third'])
  })

  test('BMCs do not wait for each other', async () => {
    const gate = Promise.withResolvers<void>()
    const one = scripted([])
    const blocked = new IpmiBmc(one.options, async () => {
      await gate.promise
      return ok
    }).readPower(signal)
    assert.equal(await scripted([ok]).bmc.readPower(signal), 'on')
    gate.resolve()
    await blocked
  })
})
