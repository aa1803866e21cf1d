/** A control plane on a real database, with agents that a test plays itself, for the tests of this folder. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { realClock, type Timekeeper } from '@byoi/bmc'
import {
  agentPaths,
  agentProtocolVersion,
  type BootMedium,
  type DeploymentView,
  joinText,
  parseByoiRequest,
  type Progress,
  type Report,
  signedText,
} from '@byoi/contract'
import { fastify, type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { type ControlPlane, openControlPlane } from './control-plane.ts'
import { defaultSettings, type WorkflowSettings } from './deployments/settings.ts'
import { type Caller } from './http/ports.ts'
import { startPostgres } from './store/embedded-postgres.ts'
import { readMasterKey } from './store/secrets.ts'

export const size = 8 * 1024 * 1024
export const canary = 'canary-5f1c'
export const account = 'acme'

export const caller: Caller = {
  account,
  applicationKey: 'testkey',
  credentialId: 1,
  operator: false,
  address: '127.0.0.1',
  queryId: 'byoi.test',
}

/** A request with a secret wherever there is room for one. */
export const request = () =>
  parseByoiRequest({
    URL: `http://127.0.0.1:8099/image.raw?token=${canary}`,
    type: 'raw',
    checkSum: 'ab'.repeat(32),
    checkSumType: 'sha256',
    description: 'a test',
    httpHeader: [{ key: 'X-Auth', value: canary }],
    configdrive: {
      enable: true,
      hostname: 'host',
      userData: `#cloud-config ${canary}`,
      userMetadatas: [{ key: 'role', value: canary }],
    },
  })

/** Runs until it is killed, as an agent that is busy. Its words are those of the real one. */
const idleAgent = ['/bin/sh', '-c', 'while :; do sleep 60; done', 'agent']

/** BMC drivers wait for seconds, which simulated BMCs do not need. */
const quickClock: Timekeeper = {
  ...realClock,
  now: () => realClock.now() * 10,
  sleep: async (ms, signal) => await realClock.sleep(ms / 100, signal),
}

export interface Bench extends ControlPlane {
  app: FastifyInstance
  directory: string
  postgres: Awaited<ReturnType<typeof startPostgres>>
  addServer(): Promise<TestServer>
  close(): Promise<void>
}

export async function openBench(settings: Partial<WorkflowSettings> = {}): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-control-'))
  await chmod(directory, 0o711)
  const logger = pino({ level: 'fatal' })
  const postgres = await startPostgres(join(directory, 'pg'), logger)
  const controlPlane = await openControlPlane({
    connection: postgres.connection,
    masterKey: await readMasterKey(join(directory, 'keys')),
    settings: {
      ...defaultSettings,
      localLeaseMs: 300,
      retryMs: [50, 50],
      cancelWaitMs: 1500,
      ...settings,
    },
    bmcs: {
      servers: join(directory, 'servers'),
      agentCommand: idleAgent,
      agentEnvironment: { PATH: '/usr/bin:/bin' },
      clock: quickClock,
    },
    logger,
    caPem: 'CA',
  })
  const app = fastify()
  await app.register(controlPlane.agents)
  const controlUrl = 'https://127.0.0.1:1'
  await controlPlane.start({ controlUrl, agentUrl: controlUrl, provisioning: null })
  let servers = 0
  return {
    ...controlPlane,
    app,
    directory,
    postgres,
    addServer: async () => {
      servers += 1
      return await addServer(controlPlane, app, directory, `ns${servers}.example`)
    },
    close: async () => {
      const rows = await controlPlane.db
        .selectFrom('server')
        .selectAll()
        .where('bmc_kind', '=', 'local')
        .execute()
      await app.close()
      // First, or it would start again what is turned off next.
      await controlPlane.stop()
      const off = rows.map((row) =>
        controlPlane.context.openBmc(row).setPower('off', new AbortController().signal),
      )
      await Promise.all(off)
      await postgres.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function addServer(
  { ports, db, context }: ControlPlane,
  app: FastifyInstance,
  directory: string,
  name: string,
) {
  const disk = join(directory, `${name}.disk`)
  const added = await ports.servers.add(
    {
      serviceName: name,
      account,
      boot: 'uefi',
      diskGroups: [{ diskGroupId: 1, description: '', size, disks: [{ serial: name, wwn: null, size }] }],
      bmc: { kind: 'local', settings: { disk }, password: null },
      agentBoot: null,
    },
    caller,
  )
  if (added.kind !== 'added') throw new Error(JSON.stringify(added))
  const row = await db
    .selectFrom('server')
    .selectAll()
    .where('service_name', '=', name)
    .executeTakeFirstOrThrow()
  return new TestServer(ports, app, name, String(row.bmc_settings['state']), context.openBmc(row))
}

export class TestServer {
  readonly ports: ControlPlane['ports']
  readonly app: FastifyInstance
  readonly name: string
  readonly state: string
  readonly bmc: ReturnType<ControlPlane['context']['openBmc']>

  constructor(
    ports: ControlPlane['ports'],
    app: FastifyInstance,
    name: string,
    state: string,
    bmc: TestServer['bmc'],
  ) {
    this.ports = ports
    this.app = app
    this.name = name
    this.state = state
    this.bmc = bmc
  }

  async start(): Promise<string> {
    const started = await this.ports.deployments.start(account, this.name, request(), caller)
    if (started.kind !== 'started') throw new Error(started.kind)
    return started.id
  }

  async forget(): Promise<void> {
    const { kind } = await this.ports.deployments.forget(account, this.name, caller)
    if (kind !== 'accepted') throw new Error(kind)
  }

  current = async (): Promise<DeploymentView | null> =>
    await this.ports.deployments.current(account, this.name)

  /** The agent that the server's boot medium starts, once it is of a newer epoch than `after`. */
  async boots(after = 0): Promise<TestAgent> {
    const medium = await eventually(`a boot medium after epoch ${after}`, async () => {
      const path = join(this.state, 'medium')
      if (!existsSync(path)) return null
      const found = JSON.parse(await readFile(path, 'utf8').catch(() => 'null')) as BootMedium | null
      if (found === null || found.epoch <= after) return null
      return (await this.power()) === 'on' ? found : null
    })
    return new TestAgent(this.app, medium)
  }

  power = async () => await this.bmc.readPower(new AbortController().signal)
  bootDevice = async () => await this.bmc.readBootDevice(new AbortController().signal)

  /** As a power cut: the process that is the server is gone. */
  async cutPower(): Promise<void> {
    const {
      process: { pid },
    } = JSON.parse(await readFile(join(this.state, 'power.json'), 'utf8')) as {
      process: { pid: number }
    }
    process.kill(-pid, 'SIGKILL')
  }
}

export interface Answer {
  status: number
  body: Record<string, unknown>
}

/** Speaks the agent protocol as a test says. */
export class TestAgent {
  readonly app: FastifyInstance
  readonly medium: BootMedium
  readonly keys: { publicKey: KeyObject; privateKey: KeyObject }
  lease = ''
  sequence = 0

  constructor(app: FastifyInstance, medium: BootMedium) {
    this.app = app
    this.medium = medium
    this.keys = generateKeyPairSync('ed25519')
  }

  get epoch(): number {
    return this.medium.epoch
  }

  async post(path: string, payload: string, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await this.app.inject({
      method: 'POST',
      url: path,
      payload,
      headers: { 'content-type': 'application/json', ...headers },
    })
    return { status: answer.statusCode, body: answer.json() }
  }

  async join(change: Record<string, unknown> = {}): Promise<Answer> {
    const { server, epoch, secret } = this.medium
    const text = joinText(server, epoch, createHash('sha256').update(secret).digest('hex'))
    const answer = await this.post(
      agentPaths.join,
      JSON.stringify({
        protocol: agentProtocolVersion,
        release: 'test',
        server,
        epoch,
        secret,
        publicKey: Buffer.from(this.keys.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString(
          'base64',
        ),
        proof: sign(null, Buffer.from(text), this.keys.privateKey).toString('base64'),
        disks: [
          {
            path: '/dev/x',
            serial: server,
            wwn: null,
            size,
            sectorSize: 512,
            rotational: null,
            transport: 'file',
          },
        ],
        machine: null,
        ...change,
      }),
    )
    if (answer.status === 200) this.lease = String(answer.body['lease'])
    return answer
  }

  /** The next message, or with `sequence` one that was sent before. */
  async send(path: string, message: object, sequence = (this.sequence += 1)): Promise<Answer> {
    const body = JSON.stringify(message)
    const hash = createHash('sha256').update(body).digest('hex')
    const text = signedText(path, this.lease, sequence, hash)
    return await this.post(path, body, {
      'x-byoi-lease': this.lease,
      'x-byoi-sequence': String(sequence),
      'x-byoi-signature': sign(null, Buffer.from(text), this.keys.privateKey).toString('base64'),
    })
  }

  order = async () => await this.send(agentPaths.order, {})
  permit = async () => await this.send(agentPaths.permit, { epoch: this.epoch })
  report = async (progress: Progress | null, outcome: Report['outcome'] = null) =>
    await this.send(agentPaths.report, { epoch: this.epoch, progress, log: [], outcome })
  published = async () => await this.report(null, { kind: 'published', result })
}

const result = {
  checkSum: 'ab'.repeat(32),
  checkSumType: 'sha256',
  bytesServed: 4096,
  virtualSize: 4096,
  written: 4096,
  seconds: 1,
  notes: ['a note'],
}

export const progress = (phase: Progress['phase'], bytesDone = 1024): Progress => ({
  phase,
  bytesDone,
  bytesTotal: 4096,
  bytesPerSecond: 1024,
  secondsLeft: 3,
})

/** Waits for a state: asks until the answer is neither null nor false. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | null | false>,
  ms = 20_000,
): Promise<T> {
  const until = Date.now() + ms
  while (Date.now() < until) {
    const found = await ask()
    if (found !== null && found !== false) return found
    await sleep(20)
  }
  throw new Error(`Waited ${ms} ms in vain for ${what}.`)
}
