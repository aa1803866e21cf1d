import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConsoleSession } from '../bmc.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type IpmiSim, startIpmiSim } from '../testing/ipmi-sim.ts'
import { type IpmiAnswer, RmcpBmc, type RmcpBmcOptions } from '../testing/rmcp-bmc.ts'
import { IpmiBmc } from './ipmi-bmc.ts'
import { IpmiConsole } from './ipmi-console.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { IpmiFailure } from './ipmi-failure.ts'

const tools = ['/usr/bin/ipmitool', '/usr/bin/ipmi_sim', '/usr/bin/curl']
const absent = tools.filter((each) => !existsSync(each))
const skip = absent.length === 0 ? false : `needs ${absent.join(', ')}`
const { signal } = new AbortController()

const optionsFor = ({ user, password }: { user: string; password: string }, port: number): IpmiOptions => ({
  host: '127.0.0.1',
  port,
  user,
  password,
  firmware: 'uefi',
  cipherSuite: null,
  commandIntervalMs: 0,
})

interface Setting {
  sim: IpmiSim
  options: IpmiOptions
  console: IpmiConsole
  /** Opens `console`, or another one. Closed with the test, before the BMC ends. */
  open: (other?: IpmiConsole) => Promise<ConsoleSession>
}

async function setUp(t: TestContext): Promise<Setting> {
  const sim = await startIpmiSim()
  const sessions: ConsoleSession[] = []
  t.after(async () => {
    await Promise.all(sessions.map((each) => each.close()))
    await sim.stop()
  })
  const options = optionsFor(sim, sim.port)
  const console = new IpmiConsole(options)
  const open = async (other = console) => {
    const session = await other.openConsole(signal)
    sessions.push(session)
    return session
  }
  return { sim, options, console, open }
}

/** Reads until `wanted` has come. */
async function readUntil(session: ConsoleSession, wanted: (text: string) => boolean): Promise<string> {
  let text = ''
  for await (const bytes of session.output) {
    text += Buffer.from(bytes).toString('latin1')
    if (wanted(text)) return text
  }
  return text
}

/** ipmitools that talk to a port and have not ended. */
async function ipmitoolsOf(port: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map(async (pid) => ({ pid, line: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })),
  )
  return lines
    .filter(({ line }) => line.includes('ipmitool') && line.includes(`\0-p\0${port}\0`))
    .map(({ pid }) => Number(pid))
}

async function untilNone(port: number): Promise<void> {
  while ((await ipmitoolsOf(port)).length > 0) await sleep(20)
}

describe('The serial console over ipmitool and ipmi_sim', { skip }, () => {
  test('what is written is echoed, tildes and control characters too', async (t) => {
    const { open } = await setUp(t)
    const session = await open()
    const input = '~.\r~B~?\r\n~~.\r~\u001a~\u0018\u0003\u0004\u0011\u0013\r~'
    await session.write(Buffer.from(input))
    assert.equal(await readUntil(session, (text) => text.length >= input.length), input)
  })

  test('every byte comes as it was sent', async (t) => {
    const { sim, open } = await setUp(t)
    const session = await open()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    sim.serial.write(bytes)
    const text = await readUntil(session, (seen) => seen.length >= bytes.length)
    assert.deepEqual(Buffer.from(text, 'latin1'), bytes)
  })

  test('3000 lines come without a lost character', async (t) => {
    const { sim, open } = await setUp(t)
    const session = await open()
    const lines = Array.from({ length: 3000 }, (_, index) => `line ${index} ${'x'.repeat(60)}\r\n`).join('')
    sim.serial.write(Buffer.from(lines))
    assert.equal(await readUntil(session, (text) => text.length >= lines.length), lines)
  })

  test('a long paste arrives whole, in pieces cut anywhere', async (t) => {
    const { sim, open } = await setUp(t)
    let arrived = ''
    const all = Promise.withResolvers<void>()
    const paste = Array.from({ length: 20 }, (_, index) => `~echo ${index}\r`).join('')
    sim.serial.onData = (bytes) => {
      arrived += bytes.toString()
      if (arrived.length >= paste.length) all.resolve()
    }
    const session = await open()
    for (let at = 0; at < paste.length; at += 7) await session.write(Buffer.from(paste.slice(at, at + 7)))
    await all.promise
    assert.equal(arrived, paste)
  })

  test('commands go on while it is open', async (t) => {
    const { open, options } = await setUp(t)
    const session = await open()
    const bmc = new IpmiBmc(options)
    await bmc.setPower('on', signal)
    assert.equal(await bmc.readPower(signal), 'on')
    await session.write(Buffer.from('still here'))
    assert.equal(await readUntil(session, (text) => text.length >= 10), 'still here')
  })

  test('closing ends the reading and ipmitool, and the BMC gives the console again', async (t) => {
    const { options, open } = await setUp(t)
    for (let round = 0; round < 2; round++) {
      const session = await open()
      const reading = readUntil(session, () => false)
      await session.close()
      assert.equal(await reading, '')
      assert.deepEqual(await ipmitoolsOf(options.port), [])
      await assert.rejects(session.write(Buffer.from('x')), { message: 'The serial console is closed.' })
    }
  })

  test('a reader that stops reading has closed it', async (t) => {
    const { sim, options, open } = await setUp(t)
    const session = await open()
    sim.serial.write(Buffer.from('x'))
    for await (const _ of session.output) break
    assert.deepEqual(await ipmitoolsOf(options.port), [])
  })

  test('there is one session per process', async (t) => {
    const { options, open } = await setUp(t)
    const session = await open()
    await assert.rejects(new IpmiConsole(options).openConsole(signal), { fault: 'in-use' })
    await session.write(Buffer.from('still here'))
    assert.equal(await readUntil(session, (text) => text.length >= 10), 'still here')
    await (await open(new IpmiConsole(options))).close()
  })

  test('a session that somebody else left is ended', async (t) => {
    const { sim, options, open } = await setUp(t)
    const args = ['-I', 'lanplus', '-H', '127.0.0.1', '-p', String(sim.port), '-U', sim.user, '-E', '-C', '3']
    const env = { PATH: process.env['PATH'], IPMITOOL_PASSWORD: sim.password }
    const other = spawn('stdbuf', ['-oL', 'ipmitool', ...args, 'sol', 'activate'], { env })
    t.after(() => other.kill('SIGKILL'))
    await once(other.stdout, 'data')
    // It is gone, and the BMC does not know.
    other.kill('SIGKILL')
    const session = await open()
    await session.write(Buffer.from('mine'))
    assert.equal(await readUntil(session, (text) => text.length >= 4), 'mine')
    await untilNone(options.port)
  })

  test('the reading ends when the BMC restarts, and the console can be opened again', async (t) => {
    const { sim, open } = await setUp(t)
    const session = await open()
    const reading = readUntil(session, () => false)
    await sim.kill()
    // The closed port is told at the next packet.
    await session.write(Buffer.from('x'))
    await reading.catch((error: unknown) => assert.ok(error instanceof IpmiFailure))
    await sim.start()
    const again = await open()
    await again.write(Buffer.from('again'))
    assert.equal(await readUntil(again, (text) => text.length >= 5), 'again')
  })

  test('no ipmitool is left when this process is killed, and the BMC gives the console again', async (t) => {
    const { options, open } = await setUp(t)
    const holder = join(import.meta.dirname, 'hold-console.fixture.ts')
    const child = spawn(process.execPath, [holder, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    assert.equal((await ipmitoolsOf(options.port)).length, 1)
    child.kill('SIGKILL')
    await untilNone(options.port)
    const session = await open()
    await session.close()
  })
})

const activatePayload = 0x48
const deactivatePayload = 0x49

describe('The serial console over ipmitool', {
  skip: existsSync('/usr/bin/ipmitool') ? false : 'needs ipmitool',
}, () => {
  for (const { what, code, fault, asked } of [
    { what: 'is taken again at once', code: 0x80, fault: 'in-use', asked: 2 },
    { what: 'has no place left', code: 0x82, fault: 'in-use', asked: 2 },
    { what: 'is disabled', code: 0x81, fault: 'refused', asked: 1 },
    { what: 'is not given over this suite', code: 0x84, fault: 'refused', asked: 1 },
  ]) {
    test(`that ${what}: ${fault}`, async (t) => {
      const codes: Record<number, number> = { [activatePayload]: code, [deactivatePayload]: 0x80 }
      const { bmc, console } = await answering(t, (command) => codes[command])
      await assert.rejects(console.openConsole(signal), { fault, outcome: 'refused' })
      const activations = bmc.requests.filter((each) => each.startsWith('0648'))
      assert.equal(activations.length, asked)
      // Not held by a session that never was.
      await assert.rejects(console.openConsole(signal), { fault, outcome: 'refused' })
    })
  }

  test('an abort while it is opened leaves nothing behind', async (t) => {
    const abort = new AbortController()
    const { console, port } = await answering(t, (command) => {
      if (command === activatePayload) abort.abort(new Error('enough'))
      return command === activatePayload ? null : undefined
    })
    await assert.rejects(console.openConsole(abort.signal), { message: 'enough' })
    await untilNone(port)
    await assert.rejects(console.openConsole(AbortSignal.abort(new Error('once more'))), {
      message: 'once more',
    })
  })
})

/** A BMC that answers some commands of its application function as it is told. Waits of the driver itself take no time. */
async function answering(t: TestContext, answer: (command: number) => IpmiAnswer | undefined) {
  const options: RmcpBmcOptions = {
    user: 'admin',
    password: 'secret',
    suites: [3],
    manufacturer: 674,
    answer: ({ netFn, command }) => (netFn === 0x06 ? answer(command) : undefined),
  }
  const bmc = new RmcpBmc(options)
  const port = await bmc.listen()
  t.after(() => bmc.close())
  const console = new IpmiConsole({ ...optionsFor(options, port), clock: new FakeClock() })
  return { bmc, console, port }
}
