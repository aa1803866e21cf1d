import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MemoryMachine, startRedfishService } from '@byoi/bmc'
import { Secret } from '@byoi/contract'
import { account, type Bench, caller, eventually, openBench } from '../control-plane.fixture.ts'
import { withBmcLock } from '../deployments/bmc-lock.ts'
import {
  bmcPassword,
  closeBmcs,
  described,
  openProvisioning,
  type Provisioning,
  RealServer,
  startBmc,
} from '../netboot/netboot.fixture.ts'
import { readCertificates } from '../tls/certificates.ts'
import { sealPassword } from './server-rows.ts'

let bench: Bench
let listener: Provisioning
before(async () => {
  bench = await openBench({ readingsApartMs: 10, bmcLockWaitMs: 500 })
  listener = await openProvisioning(bench)
})
after(async () => {
  await listener.close()
  await bench.close()
  await closeBmcs()
})

const rowOf = async (name: string) =>
  await bench.db.selectFrom('server').selectAll().where('service_name', '=', name).executeTakeFirst()

const logins = (service: RealServer['service']) =>
  service.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('/Sessions')).length

describe('a server with a Redfish BMC', () => {
  test('is added once its BMC has answered: pin, system and identity are found, the password is sealed', async () => {
    const server = await RealServer.add(bench)
    const shown = await bench.ports.servers.show(server.name)
    const identity = shown?.bmc.identity
    const settings = shown?.bmc.settings ?? {}
    assert.deepEqual([identity?.vendor, identity?.model], ['byoi', 'memory machine'])
    assert.deepEqual(
      Object.keys(settings).sort((a, b) => (a < b ? -1 : 1)),
      ['address', 'spki', 'system', 'user'],
    )
    assert.match(String(settings['spki']), /^[A-Za-z0-9+/]{43}=$/)
    assert.match(String(settings['system']), /^\/redfish\/v1\/Systems\/6ba7b810/)
    assert.ok(!JSON.stringify(shown).includes(bmcPassword))
    const row = await rowOf(server.name)
    assert.ok(row?.bmc_password !== null && !row?.bmc_password.toString('latin1').includes(bmcPassword))
    assert.deepEqual(server.service.sessions.ids(), [], 'it logged out')
    assert.deepEqual(server.machine.actions, [], 'nothing was done to the server')
  })

  const refused: [string, (server: Described) => Described, RegExp, number][] = [
    [
      'the wrong password, which is tried once',
      (server) => ({ ...server, bmc: { ...server.bmc, password: new Secret('wrong') } }),
      /user|password/i,
      1,
    ],
    [
      'another certificate, without a password sent',
      (server) => withSetting(server, 'spki', pin),
      /certificate/,
      0,
    ],
    ['a pin of no form', (server) => withSetting(server, 'spki', 'x'), /base64 of the SHA-256/, 0],
    ['plain HTTP', (server) => withSetting(server, 'address', 'http://127.0.0.1'), /begin with https/, 0],
    [
      'a path in its address',
      (server) => withSetting(server, 'address', 'https://127.0.0.1/x'),
      /HOST:PORT/,
      0,
    ],
    [
      'nobody at its address',
      (server) => withSetting(server, 'address', 'https://127.0.0.1:1'),
      /127\.0\.0\.1:1/,
      0,
    ],
    [
      'a setting that it does not have',
      (server) => withSetting(server, 'colour', 'red'),
      /no setting colour/,
      0,
    ],
    [
      'a system that is not listed',
      (server) => withSetting(server, 'system', '/x'),
      /lists \/redfish\/v1/,
      1,
    ],
    ['a console that it does not have', (server) => withSetting(server, 'console', 'vnc'), /ipmi or none/, 0],
    [
      'no password',
      (server) => ({ ...server, bmc: { ...server.bmc, password: null } }),
      /needs a password/,
      0,
    ],
    ['no way for its agent', (server) => ({ ...server, agentBoot: null }), /needs agentBoot/, 0],
  ]
  for (const [what, change, reason, times] of refused) {
    test(`is refused with ${what}, and nothing is stored`, async () => {
      const { service, number } = await startBmc(bench)
      const server = change(described(`refused${number}.example`, service.url))
      const added = await bench.ports.servers.add(server, caller)
      assert.equal(added.kind, 'refused')
      assert.match(added.kind === 'refused' ? added.reason : '', reason)
      assert.equal(logins(service), times)
      assert.equal(await rowOf(server.serviceName), undefined)
      assert.ok(!JSON.stringify(added).includes('canary'))
    })
  }

  test('is refused with the BMC or a port of another', async () => {
    const one = await RealServer.add(bench)
    const same = await bench.ports.servers.add(described('same.example', `${one.service.url}/`), caller)
    assert.match(
      same.kind === 'refused' ? same.reason : '',
      new RegExp(`^The BMC https.* is that of server ${one.name}`),
    )
    const { service } = await startBmc(bench)
    const port = await bench.ports.servers.add(
      described('port.example', service.url, { macs: [one.mac] }),
      caller,
    )
    assert.match(
      port.kind === 'refused' ? port.reason : '',
      new RegExp(`^A port is that of server ${one.name}`),
    )
  })

  test('is checked: identity, power, boot device and weaknesses, but not while the workflow talks to it', async () => {
    const server = await RealServer.add(bench)
    const found = await bench.ports.servers.check(server.name)
    assert.deepEqual(
      [found?.power, found?.bootDevice, found?.identity?.serial],
      ['off', null, server.machine.identity.serial],
    )
    const id = (await rowOf(server.name))?.id ?? 0
    const before = server.service.requests.length
    await withBmcLock(bench.db, id, async () => {
      const busy = await bench.ports.servers.check(server.name)
      assert.match(busy?.problems.join() ?? '', /talks to the BMC just now/)
      assert.equal(server.service.requests.length, before)
    })
  })
})

type Described = Parameters<Bench['ports']['servers']['add']>[0]

const pin = `${'A'.repeat(43)}=`

const withSetting = (server: Described, name: string, value: string): Described => ({
  ...server,
  bmc: { ...server.bmc, settings: { ...server.bmc.settings, [name]: value } },
})

describe('a change of a server', () => {
  const settingsOf = async (server: RealServer) => (await rowOf(server.name))?.bmc_settings ?? {}

  test('is stored when the BMC takes it, and only then', async () => {
    const server = await RealServer.add(bench)
    const before = await rowOf(server.name)
    const wrong = await server.set({ password: new Secret('canary-wrong') })
    assert.match(wrong.kind === 'refused' ? wrong.reason : '', /user|password/i)
    assert.ok(!JSON.stringify(wrong).includes('canary'))
    const elsewhere = await server.set({
      settings: { ...(await settingsOf(server)), address: 'https://127.0.0.1:1' },
    })
    assert.equal(elsewhere.kind, 'refused')
    assert.deepEqual(await rowOf(server.name), before)
    const moved = await startBmc(bench)
    const settings = { address: moved.service.url, user: 'admin' }
    assert.deepEqual(await server.set({ settings, password: new Secret(bmcPassword) }), { kind: 'set' })
    assert.equal((await settingsOf(server))['address'], moved.service.url)
    assert.equal((await rowOf(server.name))?.bmc_identity?.serial, moved.machine.identity.serial)
  })

  test('takes how its agent comes and its disks, or those that were found', async () => {
    const server = await RealServer.add(bench)
    const disks = [{ serial: 'S1', wwn: null, size: 10 ** 12 }]
    const diskGroups = [{ diskGroupId: 7, description: '', size: 10 ** 12, disks }]
    const agentBoot = { way: 'virtual-media' as const, macs: [], kernelWords: 'debug', network: null }
    assert.deepEqual(await server.set({ agentBoot, diskGroups }), { kind: 'set' })
    assert.deepEqual((await rowOf(server.name))?.agent_boot, agentBoot)
    assert.equal((await rowOf(server.name))?.disk_groups[0]?.diskGroupId, 7)
    const found = {
      at: '2026-11-24T00:00:00Z',
      machine: null,
      disks: [
        {
          path: '/dev/vda',
          serial: 'V1',
          wwn: null,
          size: 2 ** 33,
          sectorSize: 512 as const,
          rotational: null,
          transport: 'virtio',
        },
      ],
    }
    await bench.db
      .updateTable('server')
      .set({ found: JSON.stringify(found) })
      .where('service_name', '=', server.name)
      .execute()
    assert.deepEqual(await server.set({ diskGroups: [] }), { kind: 'set' })
    assert.equal((await rowOf(server.name))?.disk_groups[0]?.disks[0]?.serial, 'V1')
  })

  test('is refused while a deployment is open, for a file-backed server, and for nobody', async () => {
    const server = await RealServer.add(bench)
    const id = await server.inspect()
    assert.deepEqual(await server.set({ password: new Secret('x') }), { kind: 'busy', deploymentId: id })
    const local = await bench.addServer()
    const change = { diskGroups: [] }
    assert.equal((await bench.ports.servers.set(local.name, change, caller)).kind, 'refused')
    assert.equal((await bench.ports.servers.set('nobody.example', change, caller)).kind, 'none')
  })

  test('of a password that was rotated leads a held deployment on, and nothing else may change then', async () => {
    const server = await RealServer.add(bench)
    const row = await rowOf(server.name)
    const rotated = sealPassword(bench.context.masterKey, {
      ...described(server.name, ''),
      settings: {},
      password: new Secret('the old one'),
    })
    await bench.db
      .updateTable('server')
      .set({ bmc_password: rotated })
      .where('id', '=', row?.id ?? 0)
      .execute()
    const before = logins(server.service)
    const id = await server.inspect()
    const held = await eventually('the hold', async () => {
      const found = await server.row(id)
      return found.state === 'hold' ? found : null
    })
    assert.match(held.hold ?? '', /Nothing more can be asked of the BMC/)
    assert.equal(logins(server.service) - before, 2, 'tried twice, so that no account is locked')

    const elsewhere = { ...row?.bmc_settings, address: 'https://127.0.0.1:1' }
    assert.equal((await server.set({ settings: elsewhere })).kind, 'busy')
    assert.equal((await server.set({ password: new Secret('x'), diskGroups: [] })).kind, 'busy')
    assert.deepEqual(await server.set({ password: new Secret(bmcPassword) }), { kind: 'set' })
    const { kind } = await bench.ports.deployments.resolveHold(id, 'continue', caller)
    assert.equal(kind, 'resolved')
    assert.equal((await server.until(id, 'await-agent')).phase, 'await-agent')
  })

  test('of a password that was lost leads on too: without one nothing is tried', async () => {
    const server = await RealServer.add(bench)
    const lost = bench.db.updateTable('server').set({ bmc_password: null })
    await lost.where('service_name', '=', server.name).execute()
    const before = server.service.requests.length
    const id = await server.inspect()
    const held = await eventually('the hold', async () => {
      const found = await server.row(id)
      return found.state === 'hold' ? found : null
    })
    assert.match(
      held.hold ?? '',
      /^The server cannot be used as it is described\. The BMC needs a password\.$/,
    )
    assert.equal(server.service.requests.length, before)
    assert.deepEqual(await server.set({ password: new Secret(bmcPassword) }), { kind: 'set' })
    await bench.ports.deployments.resolveHold(id, 'continue', caller)
    assert.equal((await server.until(id, 'await-agent')).phase, 'await-agent')
  })

  test('pins a certificate that was renewed, to which nothing was sent before', async () => {
    const { key, cert } = await readCertificates(join(bench.directory, 'renewed'), ['127.0.0.1'])
    const server = await RealServer.add(bench)
    const port = Number(new URL(server.service.url).port)
    await server.service.close()
    const renewed = await startRedfishService({
      machine: new MemoryMachine({ identity: server.machine.identity }),
      user: 'admin',
      password: bmcPassword,
      tls: { key, cert },
      host: '127.0.0.1',
      port,
    })
    const id = await server.inspect()
    const ended = await eventually('the end', async () => {
      const found = await server.row(id)
      return found.state === 'open' ? null : found
    })
    assert.equal(ended.state, 'error')
    assert.match(ended.failure?.cause ?? '', /certificate .* is not the one that was enrolled/)
    assert.equal(renewed.requests.length, 0)
    const { spki, ...settings } = await settingsOf(server)
    assert.deepEqual(await server.set({ settings }), { kind: 'set' })
    assert.notEqual((await settingsOf(server))['spki'], spki)
    await renewed.close()
  })
})

describe("what a server's owner changes", () => {
  test('is stored for that owner only', async () => {
    const server = await RealServer.add(bench)
    const { servers } = bench.ports
    const change = { efiBootloaderPath: String.raw`\efi\debian\grubx64.efi` }
    assert.equal(await servers.change('another', server.name, change, caller), false)
    assert.equal(await servers.change(account, server.name, change, caller), true)
    assert.equal(
      await servers.change(account, server.name, { rescueSshKey: 'ssh-ed25519 AAAA' }, caller),
      true,
    )
    const found = await servers.find(account, server.name)
    assert.deepEqual(
      [found?.rescueSshKey, found?.efiBootloaderPath],
      ['ssh-ed25519 AAAA', change.efiBootloaderPath],
    )
  })
})
