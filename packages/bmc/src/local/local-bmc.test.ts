import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { link, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { BmcError } from '../bmc.ts'
import { createLocalDisk, LocalBmc } from './local-bmc.ts'
import { recordOf } from './process-record.ts'

const signal = new AbortController().signal
/** Writes its environment and arguments to the log, then runs until it is killed. */
const agentCommand = ['/bin/sh', '-c', 'env; echo "$@"; while :; do sleep 60; done', 'agent']

async function localBmc(t: TestContext, command: readonly string[] = agentCommand) {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-bmc-'))
  const state = join(directory, 'state')
  const bmc = new LocalBmc({
    state,
    agentCommand: command,
    disk: { path: '/disk', serial: 'serial1', sectorSize: 4096 },
    environment: { PATH: '/usr/bin:/bin' },
  })
  t.after(async () => {
    await bmc.setPower('off', signal)
    await rm(directory, { recursive: true })
  })
  return { bmc, state }
}

const pidOf = async (state: string): Promise<number> => {
  const text = await readFile(join(state, 'power.json'), 'utf8')
  return (JSON.parse(text) as { process: { pid: number } }).process.pid
}

test('a new server is off and would start from its disk', async (t) => {
  const { bmc } = await localBmc(t)
  assert.equal(await bmc.readPower(signal), 'off')
  assert.equal(await bmc.readBootDevice(signal), 'disk')
})

for (const device of ['network', 'cd'] as const) {
  test(`turned on from ${device}, a server runs its agent until it is turned off`, async (t) => {
    const { bmc, state } = await localBmc(t)
    await bmc.setBootDevice(device, signal)
    await bmc.insertMedium(Buffer.from('medium'), signal)
    assert.equal((await stat(join(state, 'medium'))).mode & 0o777, 0o600)
    await bmc.setPower('on', signal)
    assert.equal(await bmc.readPower(signal), 'on')
    const pid = await pidOf(state)
    await bmc.setPower('on', signal)
    assert.equal(await pidOf(state), pid)
    await bmc.setPower('off', signal)
    assert.equal(await bmc.readPower(signal), 'off')
    assert.equal(await recordOf(pid), null)
    await bmc.setPower('off', signal)
  })
}

test('the agent is told its medium, disk, serial and sectors, and no other environment than it was given', async (t) => {
  process.env['BYOI_TEST_CANARY'] = 'canary-1f'
  t.after(() => delete process.env['BYOI_TEST_CANARY'])
  const { bmc, state } = await localBmc(t, ['/bin/sh', '-c', 'env; echo "$@"', 'agent'])
  await bmc.setBootDevice('network', signal)
  await bmc.insertMedium(Buffer.from('medium'), signal)
  await bmc.setPower('on', signal)
  while ((await bmc.readPower(signal)) === 'on') await new Promise(setImmediate)
  const log = await readFile(join(state, 'agent.log'), 'utf8')
  assert.match(log, /--boot-medium .*medium --disk \/disk --disk-serial serial1 --sector-size 4096/)
  assert.ok(log.includes('PATH=/usr/bin:/bin'))
  assert.ok(!log.includes('canary-1f'))
})

test('a server that starts its disk stays on until it is turned off', async (t) => {
  const { bmc } = await localBmc(t)
  await bmc.setPower('on', signal)
  assert.equal(await bmc.readPower(signal), 'on')
  await bmc.setPower('off', signal)
  assert.equal(await bmc.readPower(signal), 'off')
})

test('without a medium nothing is started from the network', async (t) => {
  const { bmc } = await localBmc(t)
  await bmc.setBootDevice('network', signal)
  await bmc.insertMedium(Buffer.from('medium'), signal)
  await bmc.ejectMedium(signal)
  await bmc.ejectMedium(signal)
  await assert.rejects(bmc.setPower('on', signal), (error) => {
    return error instanceof BmcError && error.outcome === 'refused'
  })
  assert.equal(await bmc.readPower(signal), 'off')
})

test('a process that has the pid of an agent that ended is not taken for it', async (t) => {
  const { bmc, state } = await localBmc(t)
  const other = spawn('sleep', ['60'])
  t.after(() => other.kill('SIGKILL'))
  await bmc.setBootDevice('network', signal)
  const record = { kind: 'agent', process: { pid: other.pid, startTime: '1' } }
  await writeFile(join(state, 'power.json'), JSON.stringify(record))
  assert.equal(await bmc.readPower(signal), 'off')
  await bmc.setPower('off', signal)
  assert.equal(other.exitCode, null)
  assert.doesNotThrow(() => process.kill(other.pid ?? 0, 0))
})

test('an agent whose start was not recorded any more is found, and turned off', async (t) => {
  const { bmc, state } = await localBmc(t)
  await bmc.setBootDevice('network', signal)
  await bmc.insertMedium(Buffer.from('medium'), signal)
  await bmc.setPower('on', signal)
  const pid = await pidOf(state)
  await writeFile(join(state, 'power.json'), JSON.stringify({ kind: 'off' }))
  assert.equal(await bmc.readPower(signal), 'on')
  await bmc.setPower('off', signal)
  assert.equal(await recordOf(pid), null)
})

test('a disk is made once, sparse, and one of another size is left alone', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-disk-'))
  t.after(async () => await rm(directory, { recursive: true }))
  const path = join(directory, 'disk')
  await createLocalDisk(path, 1 << 30)
  const made = await stat(path)
  assert.deepEqual([made.size, made.blocks], [1 << 30, 0])
  await createLocalDisk(path, 1 << 30)
  await assert.rejects(createLocalDisk(path, 1 << 20), /exists and has 1073741824 bytes, not 1048576/)
  assert.equal((await stat(path)).size, 1 << 30)
  await assert.rejects(createLocalDisk(directory, 1), /not a regular file/)
  await link(path, join(directory, 'same'))
  await assert.rejects(createLocalDisk(path, 1 << 30), /hard links/)
})

test('its console shows what the agent writes from then on, as a terminal needs it, until it is closed', async (t) => {
  const { bmc, state } = await localBmc(t, [
    '/bin/sh',
    '-c',
    'echo early; while [ ! -e go ]; do sleep 0.05; done; echo late; echo later',
    'agent',
  ])
  await bmc.setBootDevice('network', signal)
  await bmc.insertMedium(Buffer.from('medium'), signal)
  await bmc.setPower('on', signal)
  while (!(await readFile(join(state, 'agent.log'), 'utf8')).includes('early'))
    await new Promise(setImmediate)
  const session = await bmc.console.openConsole(signal)
  await writeFile(join(state, 'go'), '')
  let shown = ''
  for await (const bytes of session.output) {
    shown += Buffer.from(bytes).toString()
    if (shown.includes('later\r\n')) await session.close()
  }
  assert.equal(shown, 'late\r\nlater\r\n')
  await session.write(Buffer.from('nobody reads this'))
})

test('its console waits for a server that was never started', async (t) => {
  const { bmc, state } = await localBmc(t)
  const session = await bmc.console.openConsole(signal)
  const first = session.output[Symbol.asyncIterator]().next()
  await bmc.setBootDevice('disk', signal)
  await writeFile(join(state, 'agent.log'), 'line\n')
  assert.deepEqual((await first).value, Buffer.from('line\r\n'))
  await session.close()
})
