import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { IpmiBmc } from './ipmi-bmc.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { IpmiFailure } from './ipmi-failure.ts'
import { password, saying, standIn } from './stand-in.fixture.ts'

const { signal } = new AbortController()
const isRoot = process.getuid?.() === 0

/** The process that runs the stand-in of these options; null when `until` aborts before there is one. */
async function childRunning({ program }: IpmiOptions, until: AbortSignal = signal): Promise<number | null> {
  const script = program?.[1] ?? ''
  while (!until.aborted) {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      // Not while prlimit has not become it.
      if (words.includes(script) && words.startsWith('/bin/sh')) return Number(pid)
    }
    await sleep(5)
  }
  return null
}

const isGone = async (pid: number | null): Promise<boolean> =>
  /^State:\s+[ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State: X'))

const waiting = 'read never\n'
/** Standard input is closed, so the stand-in waits for a signal. */
const hanging = 'trap : USR1\nwhile :; do kill -STOP $$; done\n'

async function failing(promise: Promise<unknown>): Promise<IpmiFailure> {
  const error = await promise.catch((thrown: unknown) => thrown)
  assert.ok(error instanceof IpmiFailure, String(error))
  return error
}

describe('ipmitool is run', () => {
  test('with the password in its environment alone, few rights, and a user of its own', async (t) => {
    const options = await standIn(t, hanging)
    const abort = new AbortController()
    const reading = new IpmiBmc(options).readPower(abort.signal)
    const pid = await childRunning(options)
    const of = async (name: string) => await readFile(`/proc/${pid}/${name}`, 'utf8')
    const [line, environment, limits, identity] = await Promise.all(
      ['cmdline', 'environ', 'limits', 'status'].map(of),
    )
    const { mode } = await stat(`/proc/${pid}/environ`)
    abort.abort(new Error('enough'))
    await assert.rejects(reading, { message: 'enough' })

    const words = (line ?? '').split('\0')
    assert.equal(
      words.slice(2, -1).join(' '),
      `-I lanplus -H bmc.example.test -p ${options.port} -U admin -L ADMINISTRATOR -C 17 -E -v -N 5 -R 3 chassis power status`,
    )
    const variables = (environment ?? '').split('\0')
    const names = new Set(variables.map((each) => each.split('=')[0]))
    // A shell adds PWD.
    for (const name of ['IPMITOOL_PASSWORD', 'LC_ALL', 'PATH', 'PWD', '']) names.delete(name)
    assert.deepEqual([...names], [])
    assert.ok(variables.includes(`IPMITOOL_PASSWORD=${password}`))
    assert.equal(mode & 0o777, 0o400, 'only its owner reads its environment')
    assert.match(limits ?? '', /^Max file size +0 +0 /m)
    assert.match(limits ?? '', /^Max core file size +0 +0 /m)
    assert.match(limits ?? '', /^Max processes +1 +1 /m)
    assert.match(limits ?? '', /^Max address space +268435456 +268435456 /m)
    assert.match(limits ?? '', /^Max cpu time +30 +30 /m)
    if (isRoot) assert.match(identity ?? '', /^Uid:\t6\d{4}\t6\d{4}\t6\d{4}\t6\d{4}$/m)
    if (isRoot) assert.match(identity ?? '', /^Groups:\s*$/m)
  })

  test('as another user for each BMC', { skip: isRoot ? false : 'needs root' }, async (t) => {
    const abort = new AbortController()
    const users = []
    const readings = []
    for (const options of [await standIn(t, hanging), await standIn(t, hanging)]) {
      readings.push(new IpmiBmc(options).readPower(abort.signal))
      const pid = await childRunning(options)
      users.push(/^Uid:\t(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1])
    }
    abort.abort(new Error('enough'))
    await Promise.allSettled(readings)
    assert.equal(new Set(users).size, 2)
  })

  test('until the call is aborted, and no longer', async (t) => {
    const options = await standIn(t, hanging)
    const abort = new AbortController()
    const reading = new IpmiBmc(options).readPower(abort.signal)
    const pid = await childRunning(options)
    abort.abort(new Error('enough'))
    await assert.rejects(reading, { message: 'enough' })
    assert.ok(await isGone(pid))
  })

  test('for 40 s at most', async (t) => {
    const options = await standIn(t, hanging)
    const ended = new AbortController()
    const call = failing(new IpmiBmc(options).setPower('on', signal)).finally(() => ended.abort())
    const pids = new Set<number>()
    while (!ended.signal.aborted) {
      const pid = await childRunning(options, ended.signal)
      if (pid === null) break
      pids.add(pid)
      await options.clock.sleep(40_000, signal)
      while (!(await isGone(pid))) await sleep(5)
    }
    const { fault, outcome } = await call
    assert.deepEqual([fault, outcome], ['unreachable', 'unknown'])
    assert.ok(pids.size > 1)
  })

  test('for 64 KiB of output at most', async (t) => {
    const flood = 'while :; do printf "%01000d" 0; done\n'
    const { fault, message } = await failing(new IpmiBmc(await standIn(t, flood)).readPower(signal))
    assert.equal(fault, 'garbled')
    assert.match(message, /more than anybody can read/)
  })

  test('without a terminal or input', async (t) => {
    const { message } = await failing(
      new IpmiBmc(await standIn(t, `${waiting}${saying('> RAKP 2 HMAC is invalid\n')}`)).readPower(signal),
    )
    assert.match(message, /password/)
  })

  test('or its absence is told', async (t) => {
    const options = await standIn(t, '')
    const absent = { ...options, program: ['no-such-ipmitool'] }
    const error = await failing(new IpmiBmc(absent).readPower(signal))
    assert.equal(error.outcome, 'refused')
    assert.match(`${error.message} ${error.remedy}`, /not installed.* Install the package ipmitool\./)
  })

  for (const { what, change, says } of [
    { what: 'a password with a zero byte', change: { password: 'sec\0ret' }, says: /zero byte/ },
    { what: 'a password of 21 bytes', change: { password: 'x'.repeat(21) }, says: /20 bytes/ },
    { what: 'a user of 17 bytes', change: { user: 'é'.repeat(9) }, says: /16 bytes/ },
    { what: 'an empty host', change: { host: '' }, says: /address/ },
    { what: 'port 0', change: { port: 0 }, says: /1 to 65535/ },
  ]) {
    test(`never with ${what}`, async (t) => {
      const options = { ...(await standIn(t, '')), ...change }
      assert.throws(
        () => new IpmiBmc(options),
        ({ message }: Error) => {
          assert.match(message, says)
          assert.ok(!message.includes('ret') || change.password === undefined)
          return true
        },
      )
    })
  }
})
