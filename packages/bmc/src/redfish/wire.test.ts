import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { promisify } from 'node:util'
import { BmcError, type BmcFault } from '../bmc.ts'
import { MemoryMachine } from '../simulated/memory-machine.ts'
import { startRedfishService } from '../simulated/redfish-service.ts'
import { makeCertificate } from '../testing/certificate.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { account, redfishRig, spkiOf } from '../testing/redfish-rig.ts'
import { RedfishBmc } from './redfish-bmc.ts'
import { readSpki } from './spki.ts'
import { parseAddress } from './connection.ts'

const { signal } = new AbortController()
const certificate = makeCertificate()

function driver(address: string, spki: string, clock = new FakeClock()): RedfishBmc {
  const target = { address, spki, firmware: 'uefi' as const, system: null, console: null, clock }
  return new RedfishBmc({ ...account, ...target })
}

const isFault = (fault: BmcFault, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BmcError)
  assert.deepEqual([error.fault, error.outcome], [fault, 'refused'])
  assert.match(error.message, says)
  return true
}

/** A server that is no BMC; answers its port. Closed with the test. */
async function listen(
  t: TestContext,
  onSocket: (socket: Socket) => void,
  tls: TlsOptions | null,
): Promise<number> {
  const sockets = new Set<Socket>()
  const accept = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  }
  const server = tls === null ? createServer(accept) : createTlsServer(tls, accept)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

test('the pin for enrolment is the one that openssl computes', async (t) => {
  const { service, options } = await redfishRig(t)
  const { cert } = await certificate
  assert.equal(await readSpki(service.url, signal), options.spki)
  const openssl = (args: string[], input: string | Buffer) => {
    const running = promisify(execFile)('openssl', args, { encoding: 'buffer' })
    running.child.stdin?.end(input)
    return running.then(({ stdout }) => stdout)
  }
  const spki = await openssl(['x509', '-noout', '-pubkey'], cert)
  const digest = await openssl(
    ['dgst', '-sha256', '-binary'],
    await openssl(['pkey', '-pubin', '-outform', 'DER'], spki),
  )
  assert.equal(digest.toString('base64'), spkiOf(cert))
})

test('to a BMC with another key, not one byte is sent', async (t) => {
  const tls = await certificate
  const received: Buffer[] = []
  const record = (socket: Socket) =>
    socket.on('data', (data: Buffer) => {
      received.push(data)
      socket.destroy()
    })
  const port = await listen(t, record, tls)
  const other = spkiOf((await makeCertificate()).cert)
  const bmc = driver(`https://127.0.0.1:${port}`, other)
  await assert.rejects(bmc.readPower(signal), isFault('identity', /not the one that was enrolled/))
  await assert.rejects(bmc.setPower('off', signal), isFault('identity', /not the one that was enrolled/))
  await bmc.close()
  assert.deepEqual(received, [])
})

test('a key that changes while a session is open gets neither the token nor the password', async (t) => {
  const { service, bmc, options, machine } = await redfishRig(t)
  await bmc.readPower(signal)
  const port = Number(new URL(service.url).port)
  await service.close()
  const tls = await makeCertificate()
  const impostor = await startRedfishService({ machine, ...account, tls, host: '127.0.0.1', port })
  t.after(() => impostor.close())
  await assert.rejects(bmc.setPower('on', signal), isFault('identity', /enrolled/))
  assert.deepEqual(impostor.requests, [])
  assert.notEqual(options.spki, spkiOf(tls.cert))
})

const versions = [{ maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }] as const
for (const version of versions) {
  test(`a BMC with ${Object.values(version).join()} alone is talked to`, async (t) => {
    const tls = { ...(await certificate), ...version }
    const machine = new MemoryMachine()
    const service = await startRedfishService({ machine, ...account, tls, host: '127.0.0.1', port: 0 })
    t.after(() => service.close())
    const bmc = driver(service.url, spkiOf(tls.cert))
    assert.equal(await bmc.readPower(signal), 'off')
    await bmc.close()
  })
}

test('an expired certificate does no harm: the key is what is known', async (t) => {
  const tls = await makeCertificate({ expired: true })
  const machine = new MemoryMachine()
  const service = await startRedfishService({ machine, ...account, tls, host: '127.0.0.1', port: 0 })
  t.after(() => service.close())
  const bmc = driver(service.url, spkiOf(tls.cert))
  assert.equal(await bmc.readPower(signal), 'off')
  await bmc.close()
})

test('nobody who listens is waited for over half a minute', async () => {
  const clock = new FakeClock()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await assert.rejects(
    driver(`https://127.0.0.1:${port}`, 'x', clock).readPower(signal),
    isFault('unreachable', /refused/),
  )
  assert.ok(clock.now() >= 20_000 && clock.now() <= 45_000, `${clock.now()}`)
})

test('a connection that is accepted and never greeted is given up', async (t) => {
  const clock = new FakeClock()
  const silence = (socket: Socket) => void clock.sleep(30_000, signal).then(() => socket.destroy())
  const port = await listen(t, silence, null)
  await assert.rejects(
    driver(`https://127.0.0.1:${port}`, 'x', clock).readPower(signal),
    isFault('unreachable', /in time/),
  )
})

/** What no Redfish service answers. */
const strangers: readonly { who: string; answer: string; fault: BmcFault; says: RegExp }[] = [
  { who: 'an SSH server behind TLS', answer: 'SSH-2.0-OpenSSH_9.2\r\n', fault: 'garbled', says: /not HTTP/ },
  {
    who: 'a web page',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>',
    fault: 'garbled',
    says: /not valid JSON/,
  },
  {
    who: 'a body that ends early',
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"Id":',
    fault: 'unreachable',
    says: /broke off/,
  },
  {
    who: 'headers without end',
    answer: `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(9000)}\r\n`,
    fault: 'garbled',
    says: /not HTTP/,
  },
  {
    who: 'something that is not compressed as it says',
    answer: 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}',
    fault: 'garbled',
    says: /decompressed/,
  },
]

for (const { who, answer, fault, says } of strangers) {
  test(`an answer from ${who} is ${fault}`, async (t) => {
    const tls = await certificate
    const port = await listen(t, (socket) => socket.once('data', () => socket.end(answer)), tls)
    const bmc = driver(`https://127.0.0.1:${port}`, spkiOf(tls.cert))
    await assert.rejects(bmc.readPower(signal), isFault(fault, says))
  })
}

test("a caller's wish to stop ends a call at once, with the caller's reason", async (t) => {
  const tls = await certificate
  const port = await listen(t, () => undefined, tls)
  const stop = new AbortController()
  const call = driver(`https://127.0.0.1:${port}`, spkiOf(tls.cert)).readPower(stop.signal)
  const reason = new Error('enough')
  setImmediate(() => stop.abort(reason))
  await assert.rejects(call, reason)
})

const addresses = [
  { address: 'https://10.0.0.5', ok: true },
  { address: 'https://bmc-1.example.test:8443', ok: true },
  { address: 'https://[fd00::5]:443', ok: true },
  { address: 'http://10.0.0.5', ok: false },
  { address: 'https://admin:secret@10.0.0.5', ok: false },
  { address: 'https://10.0.0.5/redfish/v1', ok: false },
  { address: '10.0.0.5', ok: false },
]

for (const { address, ok } of addresses) {
  test(`the address ${address} is ${ok ? 'taken' : 'refused'}`, () => {
    if (ok) assert.equal(parseAddress(address).protocol, 'https:')
    else assert.throws(() => parseAddress(address), /must be https:\/\/HOST/)
  })
}
