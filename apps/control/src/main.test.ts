import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { ApiError, ByoiClient, Secret } from '@byoi/contract'
import { eventually } from './control-plane.fixture.ts'
import { verifyAudit } from './store/audit.ts'
import { openDatabase } from './store/database.ts'
import { isPostmasterOf, readPostmasterFile } from './store/postmaster-file.ts'

const main = join(import.meta.dirname, 'main.ts')
const size = 16 * 1024 * 1024
const imageSize = 4 * 1024 * 1024

/** `byoi up` as a process, always on the same port once it has one. */
class Up {
  readonly data: string
  url = ''
  provisioning = ''
  stderr = ''
  #child: ChildProcess | null = null

  constructor(data: string) {
    this.data = data
  }

  /** Resolves when it serves, or has ended before that. */
  async start(failpoint?: string): Promise<'ready' | 'ended'> {
    const listen = ['--listen', '127.0.0.1:0', '--provisioning', '127.0.0.1:0']
    const args = ['--data', this.data, ...listen, '--allow-address', '127.0.0.0/8']
    const child = spawn(process.execPath, [main, ...args], {
      env: { PATH: process.env['PATH'], ...(failpoint === undefined ? {} : { BYOI_FAILPOINT: failpoint }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
    return await new Promise((resolve) => {
      child.once('exit', () => resolve('ended'))
      createInterface(child.stdout).on('line', (line) => {
        if (line.startsWith('Servers boot from ')) this.provisioning = line.split(' ').at(-1) ?? ''
        if (!line.startsWith('ready ')) return
        this.url = line.split(' ')[1] ?? ''
        resolve('ready')
      })
    })
  }

  get ended(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async signal(name: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (child === null || this.ended) return null
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill(name)
    return await exit
  }

  async database() {
    const host = join(this.data, 'postgres', 'run')
    return openDatabase({ host, user: 'byoi', database: 'postgres' }, () => {})
  }
}

/** Runs `byoi up` that is expected to end by itself. */
async function ends(args: string[]): Promise<{ status: number | null; text: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, text }
}

/** 4 MiB with an MBR, boot code and one active partition, as a BIOS starts it. */
function bootableImage(): Buffer {
  const image = Buffer.alloc(imageSize)
  image.set([0xfa, 0x31, 0xc0], 0)
  image.set([0x80, 0, 0, 0, 0x83, 0, 0, 0], 446)
  image.writeUInt32LE(2048, 454)
  image.writeUInt32LE(4096, 458)
  image.set([0x55, 0xaa], 510)
  for (let at = 1024 * 1024; at < 3 * 1024 * 1024; at += 4096) image.writeUInt32LE(at, at)
  return image
}

describe('byoi up', () => {
  const image = bootableImage()
  const images = createServer((_request, response) => response.end(image))
  let data: string
  let up: Up
  let disk: string

  before(async () => {
    data = await mkdtemp(join(tmpdir(), 'byoi-up-'))
    await chmod(data, 0o711)
    disk = join(data, 'ns1.disk')
    up = new Up(data)
    await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve))
  })
  after(async () => {
    await up.signal('SIGTERM')
    images.close()
    await rm(data, { recursive: true, force: true })
  })

  const clientOf = (key: {
    applicationKey: string
    applicationSecret: string
    consumerKey: string
    ca: string
  }) =>
    new ByoiClient({
      endpoint: `${up.url}/1.0`,
      applicationKey: key.applicationKey,
      applicationSecret: new Secret(key.applicationSecret),
      consumerKey: new Secret(key.consumerKey),
      ca: key.ca,
    })
  const operator = async () =>
    clientOf(
      JSON.parse(await readFile(join(data, 'operator.json'), 'utf8')) as Parameters<typeof clientOf>[0],
    )

  test('serves with its own certificate authority, and its operator can call at once', async () => {
    assert.equal(await up.start(), 'ready')
    for (const secret of ['operator.json', 'keys/master.key', 'tls/ca.key', 'tls/server.key']) {
      assert.equal((await stat(join(data, secret))).mode & 0o777, 0o600, secret)
    }
    await (await operator()).addServer({
      serviceName: 'ns1.example',
      account: 'operator',
      boot: 'legacy',
      diskGroups: [{ diskGroupId: 1, disks: [{ serial: 'disk1', size }] }],
      bmc: { kind: 'local', settings: { disk } },
    })
    assert.equal((await stat(disk)).size, size)
  })

  test('is refused a second time on the same data directory', async () => {
    const second = new Up(data)
    assert.equal(await second.start(), 'ended')
    assert.match(second.stderr, /Another byoi up runs on [^\0]* with --data\.\n$/)
  })

  /** In the order in which a deployment passes them; the control plane is killed at each, in one deployment. */
  const deaths = [
    'before:accept:record',
    'before:claim-server:record',
    'before:preflight-bmc:read-power',
    'after:boot-from-agent:set-boot-device',
    'before:power-on:set-power-off',
    'after:power-on:set-power-off',
    'before:power-on:insert-medium',
    'before:power-on:set-power-on',
    'after:power-on:set-power-on',
    'before:publish:record',
    'after:publish:record',
    'after:boot-from-disk:set-boot-device',
    'before:reset:set-power-off',
    'after:reset:set-power-off',
    'before:reset:set-power-on',
    'after:reset:set-power-on',
    'before:close:record',
    'after:close:record',
  ]

  test('is killed at every step of one deployment, which ends as if nothing had been', async () => {
    await up.signal('SIGKILL')
    const marker = (at: number) => join(data, `failpoint-${at}`)
    assert.equal(await up.start(`${deaths[0]}@${marker(0)}`), 'ready')
    const started = (await operator()).deploy('ns1.example', {
      URL: `http://127.0.0.1:${(images.address() as AddressInfo).port}/image.raw`,
      type: 'raw',
    })
    await started
    for (const [at] of deaths.entries()) {
      await eventually(`the death at ${deaths[at]}`, async () => up.ended && existsSync(marker(at)))
      const next = deaths[at + 1]
      await up.start(next === undefined ? undefined : `${next}@${marker(at + 1)}`)
    }
    const view = await eventually('the end', async () => {
      const found = await (await operator()).deployment('ns1.example')
      return found.endedAt === null ? null : found
    })
    assert.equal(view.state, 'done')
    assert.equal(view.disk, 'complete')
    const written = await readFile(disk)
    assert.ok(written.subarray(0, 446).equals(image.subarray(0, 446)))
    assert.ok(written.subarray(1024 * 1024, imageSize).equals(image.subarray(1024 * 1024)))
    const db = await up.database()
    assert.equal(await verifyAudit(db), null)
    const actions = await db.selectFrom('audit').select('action').execute()
    await db.destroy()
    const times = (action: string) => actions.filter((each) => each.action === action).length
    assert.deepEqual(['power.on', 'agent.join', 'power.reset-on', 'deployment.done'].map(times), [1, 1, 1, 1])
  })

  test('goes on when its database is killed, and answers 503 meanwhile', async () => {
    const client = await operator()
    const postgresData = join(data, 'postgres', 'data')
    for (let times = 0; times < 3; times++) {
      const { pid } = (await readPostmasterFile(postgresData)) ?? { pid: 0 }
      assert.ok(await isPostmasterOf(pid, postgresData))
      process.kill(pid, 'SIGKILL')
      // A backend that has not noticed yet may still answer, so the new postmaster is waited for.
      await eventually('another postmaster', async () => {
        const view = await client.deployment('ns1.example').catch((error: unknown) => {
          assert.ok(error instanceof ApiError)
          assert.equal(error.status, 503, up.stderr)
          return null
        })
        if (view !== null) assert.equal(view.state, 'done')
        const file = await readPostmasterFile(postgresData)
        return view !== null && file !== null && file.pid !== pid && file.ready
      })
    }
  })

  test('serves what servers boot from apart from the API, and tells the operator where', async () => {
    const found = await (await operator()).netboot()
    assert.deepEqual(found, {
      provisioningUrl: up.provisioning,
      mediaUrl: up.provisioning,
      agentUrl: up.url,
      ramdisk: join(data, 'ramdisk'),
    })
    const script = await fetch(`${up.provisioning}/netboot/boot.ipxe`)
    assert.match(await script.text(), /^#!ipxe\n/)
    for (const path of ['/1.0/auth/time', '/1.0/byoi/health', '/agent/v1/join', '/']) {
      assert.equal((await fetch(up.provisioning + path)).status, 404, path)
    }
    assert.match(up.stderr, /agents of real servers cannot call this address/)
    assert.match(up.stderr, /holds no ramdisk for servers.* Run byoi ramdisk build/)
  })

  test('stops in order on SIGTERM, and takes its database with it', async () => {
    assert.equal(await up.signal('SIGTERM'), 0)
    assert.equal(await readPostmasterFile(join(data, 'postgres', 'data')), null)
  })

  test('says that its database cannot be reached, and ends', async () => {
    const url = 'postgres://nobody:canary-pw@127.0.0.1:1/x'
    const args = ['--data', join(data, 'other'), '--listen', '127.0.0.1:0', '--database', url]
    const { status, text } = await ends(args)
    assert.equal(status, 1)
    assert.match(text, /^byoi up: The database cannot be reached\. Check .* \(connect ECONNREFUSED/)
    assert.ok(!text.includes('canary-pw'))
  })

  const wrong: [string, string[], RegExp][] = [
    ['plain HTTP on an address that others reach', ['--http', '0.0.0.0:0'], /loopback/],
    ['a port that is none', ['--listen', '127.0.0.1:70000'], /HOST:PORT/],
    ['an option that it does not have', ['--nothing'], /unknown option/],
    [
      'a database that is none',
      ['--database', 'mysql://user:canary-pw@host/x'],
      /^error: write --database as/,
    ],
    ['a phone without a place to call', ['--phone-home'], /--phone-home needs --provisioning/],
    ['days of which there are none', ['--console-days', '0'], /whole number of days/],
    ['addresses of no form', ['--allow-address', 'localhost'], /127\.0\.0\.0\/8/],
    ['a URL of a listener that there is not', ['--media-url', 'http://a'], /need --provisioning/],
    [
      'a listener on all addresses that nobody sees',
      ['--provisioning', '0.0.0.0:0'],
      /needs --provisioning-url/,
    ],
    ['a URL with a password', ['--public-url', 'http://a:canary-pw@b'], /without user and password/],
    ['agents that would call over plain HTTP', ['--agent-url', 'http://a'], /https only/],
  ]
  for (const [what, args, message] of wrong) {
    test(`ends with status 2 on ${what}`, async () => {
      const { status, text } = await ends(args)
      assert.equal(status, 2)
      assert.match(text, message)
      assert.ok(!text.includes('canary-pw'))
    })
  }
})
