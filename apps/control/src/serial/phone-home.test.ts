import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { parseByoiRequest } from '@byoi/contract'
import { pino } from 'pino'
import { account, caller, eventually, type TestAgent } from '../control-plane.fixture.ts'
import { createProvisioningServer } from '../netboot/provisioning-server.ts'
import { phoneHomeRoute } from './phone-home.ts'
import { openSerialBench, type SerialBench, type SerialServer } from './serial.fixture.ts'

const program = join(import.meta.dirname, 'phone-home.fixture.py')
const python = '/usr/bin/python3'

function absent(): string | false {
  try {
    execFileSync(python, ['-c', 'import cloudinit.config.cc_phone_home'], { stdio: 'ignore' })
    return false
  } catch {
    return 'absent: cloud-init'
  }
}

/** A new host key as `ssh-keygen` writes its public half. */
function hostKey(): string {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const blob = Buffer.concat([field(Buffer.from('ssh-ed25519')), field(Buffer.from(x, 'base64url'))])
  return `ssh-ed25519 ${blob.toString('base64')}`
}

describe('a deployed system that phones home', { concurrency: 4 }, () => {
  let bench: SerialBench
  let listener: ReturnType<typeof createProvisioningServer>
  let port: number
  const log: string[] = []

  before(async () => {
    bench = await openSerialBench({ phoneHome: true })
    const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) })
    listener = createProvisioningServer([phoneHomeRoute(bench.context)], logger)
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    port = (listener.address() as AddressInfo).port
    const url = `http://127.0.0.1:${port}`
    bench.context.provisioning = { url, mediaUrl: url, ramdisk: '/nonexistent' }
  })
  after(async () => {
    listener.closeAllConnections()
    listener.close()
    await bench.close()
  })

  const post = async (url: string, body: string) =>
    await fetch(url, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    })

  /** Leads a deployment to its agent's order, and gives the URL in it. */
  const ordered = async (server: SerialServer): Promise<{ agent: TestAgent; url: string }> => {
    const agent = await server.boots()
    await agent.join()
    const { configDrive } = (await agent.order()).body as { configDrive: { phoneHomeUrl: string } }
    const again = (await agent.order()).body as { configDrive: unknown }
    assert.deepEqual(again.configDrive, configDrive)
    return { agent, url: configDrive.phoneHomeUrl }
  }
  const finish = async (server: SerialServer, agent: TestAgent) => {
    await agent.permit()
    await agent.published()
    await eventually('done', async () => (await server.current())?.state === 'done')
  }

  test('as cloud-init does it is believed, with its host keys', { skip: absent() }, async () => {
    const server = await bench.addSerialServer()
    const id = await server.start()
    const { agent, url } = await ordered(server)
    await finish(server, agent)
    const keys = [hostKey(), hostKey()]
    const files = {
      '/etc/ssh/ssh_host_ed25519_key.pub': `${keys[0]} root@node-1\n`,
      '/etc/ssh/ssh_host_ecdsa_key.pub': `${keys[1]} \u001b]0;hostile\u0007\n`,
    }
    await promisify(execFile)(python, [program, url, JSON.stringify(files)])
    const view = await server.current()
    assert.equal(view?.booted?.by, 'phone-home')
    // The comment of a key is anybody's text, and one that holds control characters is no key.
    assert.deepEqual(
      view?.notes.filter((note) => note.includes('SSH')),
      [`SSH host key of the deployed system: ${keys[0]}`],
    )
    const actions = await bench.db
      .selectFrom('audit')
      .select(['action', 'actor'])
      .where('deployment_id', '=', id)
      .where('action', '=', 'deployment.booted')
      .execute()
    assert.deepEqual(actions, [{ action: 'deployment.booted', actor: 'deployed system' }])
    assert.doesNotMatch(log.join(''), new RegExp(url.slice(-64)))
  })

  test('is heard once; a repeat gets the same answer and changes nothing', async () => {
    const server = await bench.addSerialServer()
    await server.start()
    const { agent, url } = await ordered(server)
    await finish(server, agent)
    assert.equal((await post(url, 'pub_key_rsa=N%2FA')).status, 200)
    const view = await server.current()
    const late = new URLSearchParams({ pub_key_ed25519: hostKey() })
    assert.equal((await post(url, String(late))).status, 200)
    assert.deepEqual(await server.current(), view)
  })

  test('after its login prompt was seen adds its host keys, and the first evidence stays', async () => {
    const server = await bench.addSerialServer()
    await server.start()
    const { agent, url } = await ordered(server)
    await eventually('the console', async () => server.line.isOpen)
    await finish(server, agent)
    server.line.say('\r\n\r\nnode-1 login: ')
    const booted = await eventually('the boot', async () => (await server.current())?.booted ?? null)
    const key = hostKey()
    assert.equal((await post(url, String(new URLSearchParams({ pub_key_ed25519: key })))).status, 200)
    const view = await server.current()
    assert.deepEqual(view?.booted, booted)
    assert.ok(view?.notes.some((note) => note.endsWith(key)))
    assert.equal((await post(url, '')).status, 200)
  })

  test('is not believed before its server was started from the disk, or once it was cancelled', async () => {
    const server = await bench.addSerialServer()
    await server.start()
    const { agent, url } = await ordered(server)
    assert.equal((await post(url, '')).status, 404)
    await finish(server, agent)
    await server.forget()
    assert.equal((await post(url, '')).status, 404)
    assert.equal((await server.current())?.booted, null)
  })

  test('with another word, by another method or with too long a form is not heard', async () => {
    const server = await bench.addSerialServer()
    await server.start()
    const { agent, url } = await ordered(server)
    await finish(server, agent)
    assert.equal((await post(`${url.slice(0, -64)}${'0'.repeat(64)}`, '')).status, 404)
    assert.equal((await fetch(url)).status, 404)
    const long = await post(url, 'x'.repeat(17 * 1024)).then(
      ({ status }) => status,
      () => 'cut off',
    )
    assert.ok(long === 404 || long === 'cut off', String(long))
    assert.equal((await server.current())?.booted, null)
  })

  test('a form that never ends keeps nobody else waiting', async () => {
    const server = await bench.addSerialServer()
    await server.start()
    const { agent, url } = await ordered(server)
    await finish(server, agent)
    const slow = Array.from({ length: 32 }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(`POST /phone-home/${'0'.repeat(64)} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n`)
      return socket
    })
    assert.equal((await post(url, '')).status, 200)
    for (const socket of slow) socket.destroy()
  })

  test('is not asked to on a file-backed server, without a config drive, or where the operator does not want it', async () => {
    const local = await bench.addServer()
    await local.start()
    const agent = await local.boots()
    await agent.join()
    const { configDrive } = (await agent.order()).body as { configDrive: { phoneHomeUrl: unknown } }
    assert.equal(configDrive.phoneHomeUrl, null)
    bench.context.settings.phoneHome = false
    const server = await bench.addSerialServer()
    await server.start()
    bench.context.settings.phoneHome = true
    assert.equal((await ordered(server)).url, null)
    const plain = await bench.addSerialServer()
    const image = parseByoiRequest({ URL: 'http://127.0.0.1:8099/image.raw', type: 'raw' })
    await bench.ports.deployments.start(account, plain.name, image, caller)
    const rows = await bench.db
      .selectFrom('deployment')
      .select('phone_home_hash')
      .where('server_id', '=', plain.id)
      .execute()
    assert.deepEqual(rows, [{ phone_home_hash: null }])
    for (const each of [local, server, plain]) await each.forget()
  })
})
