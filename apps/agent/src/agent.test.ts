import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DeployOrder,
  type InspectOrder,
  type JoinRequest,
  type RescueOrder,
  agentPaths,
} from '@byoi/contract'
import { type DeployOptions, ImagingError } from '@byoi/imaging'
import { type AgentEnd, runAgent } from './agent.ts'
import type { AgentServer } from './agent-server.ts'
import { readBootMedium } from './boot-medium.ts'
import { fileBackedServer } from './file-backed-server.ts'
import type { Engine } from './run-deploy.ts'
import { TestControlPlane, makeCertificate, serverName } from './control-plane.fixture.ts'

const skip =
  spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed (Debian: openssl)'
const diskSize = 64 * 1024 * 1024
const result = {
  checkSum: 'ab'.repeat(32),
  checkSumType: 'sha256',
  bytesServed: 4096,
  virtualSize: 8192,
  written: 4096,
  seconds: 0.5,
  notes: ['a note'],
  boot: null,
  disk: 'complete',
} as const

const deployOrder = (changes: Partial<DeployOrder> = {}): DeployOrder => ({
  kind: 'deploy',
  deploymentId: 'd-1',
  epoch: 3,
  image: {
    url: 'https://user:canary-password@images.example.test/a.qcow2?token=canary-token',
    type: 'qcow2',
    httpHeader: [{ key: 'Authorization', value: 'canary-header' }],
    sums: null,
    signature: null,
    checkSum: { type: 'sha256', value: 'ab'.repeat(32) },
  },
  disk: { serial: 'S1', wwn: null, size: diskSize },
  mirrors: [],
  boot: 'uefi',
  efiBootloaderPath: null,
  configDrive: {
    instanceId: 'd-1',
    hostname: 'node-1',
    sshKey: null,
    userDataBase64: Buffer.from('#cloud-config\ncanary-user-data').toString('base64'),
    phoneHomeUrl: 'https://control.example.test/phone-home/canary-phone',
    userMetadatas: [{ key: 'role', value: 'canary-metadata' }],
  },
  growLastPartition: true,
  addressPolicy: { allow: ['127.0.0.0/8'], deny: [], allowPrivate: false, denyPorts: [25] },
  spoolBytes: 1024,
  ...changes,
})

const inspectOrder: InspectOrder = { kind: 'inspect', deploymentId: 'd-3', epoch: 3 }
const rescueOrder: RescueOrder = { kind: 'rescue', deploymentId: 'd-2', epoch: 3, sshKey: null }

/** An engine that needs about `ms` to stream 4096 bytes, then asks for the permit. */
function streaming(ms: number): { engine: Engine; calls: DeployOptions[]; published: () => boolean } {
  const calls: DeployOptions[] = []
  let published = false
  const engine: Engine = async (options) => {
    calls.push(options)
    for (let bytesDone = 0; bytesDone <= 4096; bytesDone += 256) {
      options.signal?.throwIfAborted()
      options.onProgress?.({ phase: 'write', bytesDone, bytesTotal: 4096 })
      await sleep(ms / 16, undefined, { signal: options.signal })
    }
    await options.permit?.()
    options.signal?.throwIfAborted()
    published = true
    return { ...result, notes: [...result.notes] }
  }
  return { engine, calls, published: () => published }
}

interface Run {
  plane: TestControlPlane
  lines: string[]
  run: (
    engine: Engine,
    options?: { medium?: string; patienceMs?: number; signal?: AbortSignal; server?: Partial<AgentServer> },
  ) => Promise<AgentEnd>
}

async function prepare(t: TestContext, order: TestControlPlane['order']): Promise<Run> {
  const plane = await TestControlPlane.start(order)
  t.after(() => plane.stop())
  const path = join(plane.directory, 'disk.img')
  writeFileSync(path, '')
  truncateSync(path, diskSize)
  const lines: string[] = []
  return {
    plane,
    lines,
    run: async (engine, options = {}) =>
      await runAgent({
        medium: await readBootMedium(options.medium ?? plane.medium()),
        server: { ...(await fileBackedServer({ path, serial: 'S1' })), ...options.server },
        engine,
        log: (line) => lines.push(line),
        patienceMs: options.patienceMs ?? 20_000,
        signal: options.signal ?? new AbortController().signal,
      }),
  }
}

/** Resolves once `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `never came true: ${condition.toString()}`)
    await sleep(5)
  }
}

test('a deploy order is carried out, reported and heard', { skip }, async (t) => {
  const { plane, run, lines } = await prepare(t, deployOrder())
  const stream = streaming(200)
  assert.equal(await run(stream.engine), 'done')

  const joined = plane.heard[0]?.body as JoinRequest
  assert.equal(joined.server, serverName)
  assert.deepEqual(
    joined.disks.map(({ serial, size, transport }) => ({ serial, size, transport })),
    [{ serial: 'S1', size: diskSize, transport: 'file' }],
  )
  const options = stream.calls[0]
  assert.deepEqual(options?.image, deployOrder().image)
  assert.equal(
    Buffer.from(options?.configDrive?.userData ?? []).toString(),
    '#cloud-config\ncanary-user-data',
  )
  assert.equal(options?.growLastPartition, true)
  assert.deepEqual(options?.mirrors, [])
  assert.deepEqual(options?.disk, { path: joined.disks[0]?.path, size: diskSize, sectorSize: 512 })

  const working = plane.reports().filter((report) => report.outcome === null)
  assert.ok(working.some((report) => (report.progress?.bytesPerSecond ?? 0) > 0))
  assert.ok(working.some((report) => report.progress?.secondsLeft === 1))
  const { disk: _disk, boot: _boot, ...reported } = result
  assert.deepEqual(plane.outcome(), { kind: 'published', result: { ...reported, notes: ['a note'] } })
  assert.deepEqual(plane.faults, [])
  const everything = JSON.stringify([plane.reports(), lines])
  assert.doesNotMatch(everything, /canary/)
  assert.match(everything, /images\.example\.test/)
})

test('what an image is to be verified by reaches the engine, and its URLs are masked', {
  skip,
}, async (t) => {
  const url = (name: string) => `https://images.example.test/${name}?token=canary-${name}`
  const { plane, run, lines } = await prepare(
    t,
    deployOrder({
      image: {
        ...deployOrder().image,
        checkSum: null,
        sums: { url: url('SUMS'), name: 'a', keys: ['k1'], signatureUrl: url('SUMS.sig') },
        signature: { url: url('image.sig'), keys: ['k2'] },
      },
    }),
  )
  const calls: DeployOptions[] = []
  const failing: Engine = (options) => {
    calls.push(options)
    const cause = `Not good: ${url('SUMS')}, ${url('SUMS.sig')}, ${url('image.sig')}, canary-SUMS.`
    return Promise.reject(new ImagingError('TRUST', { cause, remedy: 'Give another.' }))
  }
  assert.equal(await run(failing), 'done')
  assert.deepEqual(calls[0]?.image.sums, {
    url: url('SUMS'),
    name: 'a',
    keys: ['k1'],
    signature: { url: url('SUMS.sig') },
  })
  assert.deepEqual(calls[0]?.image.signature, { url: url('image.sig'), keys: ['k2'] })
  const outcome = plane.outcome()
  assert.ok(outcome?.kind === 'failed')
  assert.equal(outcome.failure.code, 'TRUST')
  assert.match(outcome.failure.cause, /image\.sig\?\*\*\*/)
  assert.doesNotMatch(JSON.stringify([plane.reports(), lines]), /canary/)
})

test('a message whose answer is lost is repeated with its number and text', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const lost = new Set<string>()
  plane.judge = (path, nth, body) => {
    const name = (body as { outcome?: object | null }).outcome ? 'final' : path
    if (lost.has(name)) return 'yes'
    assert.ok(nth >= 1)
    lost.add(name)
    return 'drop'
  }
  assert.equal(await run(streaming(100).engine), 'done')
  assert.deepEqual([...lost].sort(), [...Object.values(agentPaths), 'final'].sort())
  assert.equal(plane.heard.filter((it) => it.repeat).length, 4)
  assert.equal(plane.outcome()?.kind, 'published')
  assert.deepEqual(plane.faults, [])
})

test('streaming goes on while the control plane is down for 3 s', { skip }, async (t) => {
  const { plane, run, lines } = await prepare(t, deployOrder())
  const stream = streaming(1500)
  const end = run(stream.engine)
  await until(() => plane.count(agentPaths.report) > 3)
  await plane.down()
  await sleep(3000)
  assert.equal(stream.published(), false)
  await plane.listen()
  assert.equal(await end, 'done')
  assert.equal(stream.calls.length, 1)
  assert.equal(stream.published(), true)
  assert.ok(lines.filter((line) => line.includes('cannot be reached')).length <= 3)
  assert.deepEqual(plane.faults, [])
})

test('503 is no answer: the message is repeated', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  plane.judge = (_path, nth) => (nth === 1 ? 503 : 'yes')
  assert.equal(await run(streaming(50).engine), 'done')
  assert.deepEqual(plane.faults, [])
})

test('publishing waits while the permit is answered with 409', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const stream = streaming(20)
  plane.judge = (path, nth) => {
    if (path !== agentPaths.permit) return 'yes'
    assert.equal(stream.published(), false)
    return nth < 3 ? 409 : 'yes'
  }
  assert.equal(await run(stream.engine), 'done')
  assert.equal(plane.count(agentPaths.permit), 3)
  assert.equal(stream.published(), true)
  assert.deepEqual(plane.faults, [])
})

for (const status of [401, 410]) {
  test(`a permit answered with ${status} stops the agent before it publishes`, { skip }, async (t) => {
    const { plane, run } = await prepare(t, deployOrder())
    const stream = streaming(20)
    plane.judge = (path) => (path === agentPaths.permit ? status : 'yes')
    assert.equal(await run(stream.engine), 'stopped')
    assert.equal(stream.published(), false)
    assert.equal(plane.outcome(), null)
  })
}

test('410 for a report aborts the engine at once and ends all messages', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const stream = streaming(60_000)
  plane.judge = (path, nth) => (path === agentPaths.report && nth > 3 ? 410 : 'yes')
  let abortedAt = 0
  const engine: Engine = async (options) => {
    const aborted = once(options.signal as AbortSignal, 'abort')
    const streamed = stream.engine(options)
    streamed.catch(() => undefined)
    await aborted
    abortedAt = plane.count(agentPaths.report)
    throw new ImagingError('CANCELLED', { cause: 'It was cancelled.', remedy: 'Nothing.' })
  }
  assert.equal(await run(engine), 'stopped')
  assert.equal(abortedAt, 4)
  assert.equal(plane.count(agentPaths.report), 4)
  assert.equal(plane.outcome(), null)
})

test('a new phase is reported at once, however seldom reports are asked for', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  plane.reportEveryMs = 60_000
  const phases = ['preflight-disk', 'write', 'verify'] as const
  const end = run(async (options) => {
    for (const phase of phases) {
      options.onProgress?.({ phase, bytesDone: 0, bytesTotal: null })
      await until(() => plane.reports().some((report) => report.progress?.phase === phase))
    }
    return { ...result, notes: [] }
  })
  assert.equal(await end, 'done')
})

test('410 for the final outcome is the end of it: nothing else is said', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const outcomes: unknown[] = []
  plane.judge = (_path, _nth, body) => {
    const { outcome } = body as { outcome?: { kind: string } | null }
    if (!outcome) return 'yes'
    outcomes.push(outcome.kind)
    return 410
  }
  assert.equal(await run(streaming(20).engine), 'stopped')
  assert.deepEqual(outcomes, ['published'])
})

test('410 while the permit waits ends the wait', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const stream = streaming(20)
  plane.judge = (path) => {
    if (path === agentPaths.permit) return 409
    return path === agentPaths.report && plane.count(agentPaths.permit) > 0 ? 410 : 'yes'
  }
  assert.equal(await run(stream.engine), 'stopped')
  assert.equal(stream.published(), false)
})

test('an agent that hears nothing for too long stops without publishing', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const stream = streaming(60_000)
  const end = run(stream.engine, { patienceMs: 300 })
  await until(() => plane.count(agentPaths.report) > 1)
  await plane.down()
  assert.equal(await end, 'stopped')
  assert.equal(stream.published(), false)
})

const canaryCause =
  'Reading canary-header from https://images.example.test/a.qcow2?token=canary-token for https://control.example.test/phone-home/canary-phone failed.'
const failures = [
  {
    name: 'a wrong checksum',
    thrown: new ImagingError('SUM', {
      cause: 'It differs.',
      remedy: 'Correct it.',
      got: 'aa',
      expected: 'bb',
    }),
    disk: 'unbootable',
    code: 'SUM',
    message: 'Bad sha256 for downloaded file, got: aa while expecting bb.',
  },
  {
    name: 'a failed download',
    thrown: new ImagingError('DOWNLOAD', { cause: canaryCause, remedy: 'Correct it.' }),
    disk: 'untouched',
    code: 'DOWNLOAD',
    message: 'Could not download image located: https://images.example.test/a.qcow2?***',
  },
  {
    name: 'an exception that nobody expected',
    thrown: new TypeError(canaryCause),
    disk: 'unknown',
    code: 'INTERNAL',
    message: 'The deployment failed by a fault of byoi itself.',
  },
] as const

for (const { name, thrown, disk, code, message } of failures) {
  test(`${name} is reported as ${code} and heard`, { skip }, async (t) => {
    const { plane, run, lines } = await prepare(t, deployOrder())
    const end = await run(() => {
      if (thrown instanceof ImagingError) thrown.disk = disk
      return Promise.reject(thrown)
    })
    assert.equal(end, 'done')
    const outcome = plane.outcome()
    assert.ok(outcome?.kind === 'failed')
    assert.deepEqual(
      { code: outcome.failure.code, message: outcome.failure.message, disk: outcome.failure.disk },
      { code, message, disk },
    )
    assert.doesNotMatch(JSON.stringify([plane.reports(), lines]), /canary/)
    assert.deepEqual(plane.faults, [])
  })
}

const { image, disk } = deployOrder()
const impossible: { name: string; code: string; order: Partial<DeployOrder> }[] = [
  {
    name: 'checkSumType crc32',
    code: 'SUMTYPE',
    order: { image: { ...image, checkSum: { type: 'crc32', value: '00' } } },
  },
  { name: 'another serial', code: 'DISK', order: { disk: { ...disk, serial: 'S2' } } },
  { name: 'another size', code: 'DISK', order: { disk: { ...disk, size: diskSize + 512 } } },
  { name: 'a WWN that no disk has', code: 'DISK', order: { disk: { ...disk, wwn: 'naa.5000' } } },
  { name: 'a mirror that is not there', code: 'DISK', order: { mirrors: [{ ...disk, serial: 'S2' }] } },
]

for (const { name, code, order } of impossible) {
  test(`an order with ${name} fails as ${code} before the engine starts`, { skip }, async (t) => {
    const { plane, run } = await prepare(t, deployOrder(order))
    assert.equal(await run(() => assert.fail('the engine was started')), 'done')
    const outcome = plane.outcome()
    assert.ok(outcome?.kind === 'failed')
    assert.equal(outcome.failure.code, code)
    assert.equal(outcome.failure.disk, 'untouched')
  })
}

for (const status of [401, 410, 426]) {
  test(`a join answered with ${status} stops the agent`, { skip }, async (t) => {
    const { plane, run } = await prepare(t, deployOrder())
    plane.judge = () => status
    assert.equal(await run(() => assert.fail('the engine was started')), 'stopped')
    assert.equal(plane.count(agentPaths.join), 1)
  })
}

test('join and order wait while they are answered with 409', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  plane.judge = (path, nth) =>
    (path === agentPaths.join || path === agentPaths.order) && nth < 3 ? 409 : 'yes'
  assert.equal(await run(streaming(20).engine), 'done')
  assert.deepEqual(plane.faults, [])
})

test('a control plane with a certificate of another authority hears nothing', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const medium = plane.medium({ caPem: makeCertificate().cert })
  const end = await run(() => assert.fail('the engine was started'), { medium, patienceMs: 100 })
  assert.equal(end, 'stopped')
  assert.equal(plane.count(agentPaths.join), 0)
})

test('a rescue order is reported, and the agent stays up until its epoch is over', { skip }, async (t) => {
  const { plane, run } = await prepare(t, rescueOrder)
  let over = false
  plane.judge = (path) => (path === agentPaths.report && over ? 410 : 'yes')
  const end = run(() => assert.fail('the engine was started'))
  await until(() => plane.reports().length >= 4)
  assert.deepEqual(plane.outcome(), { kind: 'rescue', hostKeys: [], addresses: [] })
  assert.equal(plane.reports().filter((report) => report.outcome !== null).length, 1)
  over = true
  assert.equal(await end, 'stopped')
  assert.deepEqual(plane.faults, [])
})

test('a rescue system that does not start is reported as a failure, the disk untouched', {
  skip,
}, async (t) => {
  const { plane, run } = await prepare(t, rescueOrder)
  const startRescue = () => Promise.reject(new Error('dropbear: there is no such command'))
  assert.equal(await run(() => assert.fail('the engine was started'), { server: { startRescue } }), 'done')
  const outcome = plane.outcome()
  assert.ok(outcome?.kind === 'failed')
  assert.equal(outcome.failure.disk, 'untouched')
  assert.equal(outcome.failure.cause, 'The rescue system does not start: dropbear: there is no such command')
  assert.deepEqual(plane.faults, [])
})

test('a rescue system is reported with its host keys and addresses', { skip }, async (t) => {
  const { plane, run, lines } = await prepare(t, { ...rescueOrder, sshKey: 'ssh-ed25519 AAAA' })
  const system = { hostKeys: ['ssh-ed25519 BBBB'], addresses: ['10.0.0.5', 'fd00::5'] }
  const given: (string | null)[] = []
  const startRescue = async ({ sshKey }: RescueOrder) => {
    given.push(sshKey)
    return await Promise.resolve(system)
  }
  plane.judge = (path) => (path === agentPaths.report && plane.reports().length > 2 ? 410 : 'yes')
  assert.equal(await run(() => assert.fail('the engine was started'), { server: { startRescue } }), 'stopped')
  assert.deepEqual(plane.outcome(), { kind: 'rescue', ...system })
  assert.deepEqual(given, ['ssh-ed25519 AAAA'])
  assert.ok(lines.includes('Rescue is up; SSH listens on 10.0.0.5, fd00::5.'))
  assert.deepEqual(plane.faults, [])
})

test('an inspect order is answered with findings, no more and no longer than a report takes', {
  skip,
}, async (t) => {
  const { plane, run } = await prepare(t, inspectOrder)
  const found = ['The disk a has boot code.', 'x'.repeat(2000), ...Array.from({ length: 100 }, () => 'more')]
  const findings = () => Promise.resolve(found)
  assert.equal(await run(() => assert.fail('the engine was started'), { server: { findings } }), 'done')
  const outcome = plane.outcome()
  assert.ok(outcome?.kind === 'inspected')
  assert.equal(outcome.findings.length, 64)
  assert.deepEqual(outcome.findings.slice(0, 3), ['The disk a has boot code.', 'x'.repeat(1024), 'more'])
  assert.deepEqual(plane.faults, [])
})

test('after publishing, the server has its say: notes, with secrets taken out', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const boot = {
    esp: { number: 1, guid: null, mbrSignature: 1, startLba: 2048, sectors: 4096 },
    loader: '\\EFI\\BOOT\\BOOTX64.EFI',
    loaders: [],
  }
  const published = streaming(20)
  const told: unknown[] = []
  const afterPublish: AgentServer['afterPublish'] = async (order, given) => {
    told.push(published.published(), order.disk.serial, given)
    return await Promise.resolve(['The firmware refuses canary-header.'])
  }
  const engine: Engine = async (options) => ({ ...(await published.engine(options)), boot })
  assert.equal(await run(engine, { server: { afterPublish } }), 'done')
  assert.deepEqual(told, [true, 'S1', boot])
  const outcome = plane.outcome()
  assert.ok(outcome?.kind === 'published')
  assert.deepEqual(outcome.result.notes, ['a note', 'The firmware refuses ***.'])
  assert.deepEqual(plane.faults, [])
})

const stays: { title: string; staysMs: number; over: boolean; end: AgentEnd }[] = [
  { title: 'until its epoch is over', staysMs: 60_000, over: true, end: 'stopped' },
  { title: 'for as long as its server says', staysMs: 900, over: false, end: 'done' },
]

for (const { title, staysMs, over, end } of stays) {
  test(`an agent whose outcome was heard stays ${title}, alive and quiet`, { skip }, async (t) => {
    const { plane, run } = await prepare(t, deployOrder())
    const since = () =>
      plane.reports().length - 1 - plane.reports().findLastIndex(({ outcome }) => outcome !== null)
    plane.judge = (path) =>
      path === agentPaths.report && over && plane.outcome() !== null && since() >= 2 ? 410 : 'yes'
    assert.equal(await run(streaming(20).engine, { server: { staysMs } }), end)
    assert.ok(since() >= 2, `${since()} reports`)
    assert.ok(
      plane
        .reports()
        .slice(-since())
        .every(({ log, progress }) => log.length === 0 && progress === null),
    )
    assert.equal(plane.reports().filter(({ outcome }) => outcome !== null).length, 1)
    assert.deepEqual(plane.faults, [])
  })
}

test('an agent whose outcome was heard ends when the control plane is lost for good', { skip }, async (t) => {
  const { plane, run } = await prepare(t, deployOrder())
  const end = run(streaming(20).engine, { server: { staysMs: 60_000 }, patienceMs: 300 })
  await until(() => plane.outcome() !== null)
  await plane.down()
  assert.equal(await end, 'stopped')
})
