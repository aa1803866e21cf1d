import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BmcError, type BootDevice, type Firmware } from '../bmc.ts'
import { onGet } from '../simulated/faults/change.ts'
import { redfishRig, type Rig } from '../testing/redfish-rig.ts'

const { signal } = new AbortController()
const iso = 'http://10.0.0.1/agent/7f3a/agent.iso'

const asked = ({ service }: Rig, method: string, ending = ''): number =>
  service.requests.filter((each) => each.method === method && each.path.endsWith(ending)).length

test('power is turned on and off once, and what is so already is left alone', async (t) => {
  const { bmc, machine } = await redfishRig(t)
  for (const to of ['off', 'on', 'on', 'off', 'off'] as const) {
    await bmc.setPower(to, signal)
    assert.equal(await bmc.readPower(signal), to)
  }
  assert.deepEqual(machine.actions, ['on', 'off'])
})

test('off is told after two readings, at least two seconds apart; on after one', async (t) => {
  const rig = await redfishRig(t)
  const { bmc, machine, clock, service } = rig
  const times: number[] = []
  service.faults.use(({ paths }) => async (exchange, next) => {
    if (exchange.path === paths.system) times.push(clock.now())
    return await next(exchange)
  })
  assert.equal(await bmc.readPower(signal), 'off')
  assert.equal(times.length, 2)
  assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 2000)
  await machine.act('on')
  times.length = 0
  assert.equal(await bmc.readPower(signal), 'on')
  assert.equal(times.length, 1)
})

for (const to of ['on', 'off'] as const) {
  for (const status of [400, 409]) {
    test(`a command that is refused with ${status} because the server is ${to} already has succeeded`, async (t) => {
      const { bmc, machine, service } = await redfishRig(t, { faults: ['already-there'] })
      service.faults.use(() => async (exchange, next) => {
        const answer = await next(exchange)
        return answer.status === 400 ? { ...answer, status } : answer
      })
      if (to === 'off') await machine.act('on')
      await bmc.readPower(signal)
      await machine.act(to)
      const done = machine.actions.length
      await bmc.setPower(to, signal)
      assert.equal(await machine.power(), to)
      assert.equal(machine.actions.length, done, 'it was refused')
    })
  }
}

for (const device of ['disk', 'network', 'cd', null] satisfies (BootDevice | null)[]) {
  for (const firmware of ['uefi', 'legacy'] satisfies Firmware[]) {
    test(`a ${firmware} server boots from ${device ?? 'its own order'} at its next start`, async (t) => {
      const { bmc, machine } = await redfishRig(t, { options: { firmware } })
      await machine.setBoot({ device: 'disk', once: false, firmware, httpUri: null })
      await bmc.setBootDevice(device, signal)
      assert.equal(await bmc.readBootDevice(signal), device)
      await bmc.setPower('on', signal)
      assert.deepEqual(machine.starts.at(-1)?.boot, {
        device,
        once: device !== null,
        firmware,
        httpUri: null,
      })
      assert.equal(await bmc.readBootDevice(signal), null, 'it held for one start')
    })
  }
}

test('a server whose firmware is set to the other mode is told, where the BMC lets it be', async (t) => {
  const { bmc, machine } = await redfishRig(t)
  await machine.setBoot({ device: null, once: false, firmware: 'legacy', httpUri: null })
  await bmc.setBootDevice('network', signal)
  assert.equal(machine.boot().firmware, 'uefi')
})

test('a mode that the BMC will not take is one to set in the BIOS', async (t) => {
  const { bmc, machine } = await redfishRig(t, { faults: ['mode-read-only'] })
  await machine.setBoot({ device: null, once: false, firmware: 'legacy', httpUri: null })
  const isBios = ({ remedy }: BmcError) => /boot mode of the server's BIOS to UEFI/.test(remedy)
  await assert.rejects(bmc.setBootDevice('network', signal), isBios)
})

test('an override that is not forgotten when it should be is an error', async (t) => {
  const { bmc, machine } = await redfishRig(t, { faults: ['boot-ignored'] })
  await machine.setBoot({ device: 'network', once: false, firmware: 'uefi', httpUri: null })
  await assert.rejects(bmc.setBootDevice(null, signal), /told to boot None, Disabled.*shows Pxe, Continuous/)
})

test('an HTTP address is booted once, and forgotten with the next device', async (t) => {
  const { bmc, machine } = await redfishRig(t)
  await bmc.setHttpBoot('http://10.0.0.1/agent.efi', signal)
  const uefiHttp = { device: 'uefi-http', once: true, firmware: 'uefi', httpUri: 'http://10.0.0.1/agent.efi' }
  assert.deepEqual(machine.boot(), uefiHttp)
  assert.equal(await bmc.readBootDevice(signal), 'network')
  await bmc.setBootDevice('disk', signal)
  assert.deepEqual(machine.boot(), { device: 'disk', once: true, firmware: 'uefi', httpUri: null })
})

test('an address that is not set is not cleared: sushy-tools ejects the medium then, and calls it None', async (t) => {
  const { bmc, service } = await redfishRig(t, { faults: ['http-uri-is-a-word'] })
  await bmc.setBootDevice('cd', signal)
  const [patch] = service.requests.filter(({ method }) => method === 'PATCH')
  assert.ok(!JSON.stringify(patch?.body).includes('HttpBootUri'))
})

test('an HTTP address is refused on a server without UEFI, before anything is asked', async (t) => {
  const { bmc, service } = await redfishRig(t, { options: { firmware: 'legacy' } })
  await assert.rejects(bmc.setHttpBoot('http://10.0.0.1/agent.efi', signal), /Only UEFI/)
  assert.equal(service.requests.length, 0)
})

test('a medium replaces what was there, and is ejected', async (t) => {
  const rig = await redfishRig(t)
  const { bmc, machine } = rig
  await machine.insert('http://10.0.0.1/old.iso')
  await bmc.insertMedia(iso, signal)
  assert.deepEqual(machine.medium(), { url: iso })
  await bmc.insertMedia(iso, signal)
  assert.equal(
    asked(rig, 'POST', '.InsertMedia'),
    2,
    'the same one is inserted again: it may be a stale sight',
  )
  await bmc.ejectMedia(signal)
  assert.equal(machine.medium(), null)
  const ejected = asked(rig, 'POST', '.EjectMedia')
  await bmc.ejectMedia(signal)
  assert.equal(asked(rig, 'POST', '.EjectMedia'), ejected, 'nothing is ejected from an empty slot')
})

test('a medium is not believed to be in for the sight of another one', async (t) => {
  const { bmc, service } = await redfishRig(t, { faults: ['insert-ignored'] })
  service.faults.use(({ paths }) =>
    onGet(
      (path) => paths.media.some((media) => path === `${media}/Cd`),
      (slot) =>
        Object.assign(slot, { Inserted: true, ConnectedVia: 'URI', Image: 'http://10.0.0.1/old/agent.iso' }),
    ),
  )
  await assert.rejects(bmc.insertMedia(iso, signal), /does not show it as inserted/)
})

test('one session serves all calls, and is ended at the end', async (t) => {
  const rig = await redfishRig(t)
  const { bmc, service } = rig
  await bmc.readPower(signal)
  await bmc.setBootDevice('disk', signal)
  await bmc.readBootDevice(signal)
  assert.equal(asked(rig, 'POST', '/Sessions'), 1)
  assert.equal(service.sessions.ids().length, 1)
  await bmc.close()
  assert.deepEqual(service.sessions.ids(), [])
  await bmc.close()
  assert.equal(asked(rig, 'DELETE'), 1)
})

test('a driver that asked nothing logs in nowhere', async (t) => {
  const { bmc, service } = await redfishRig(t)
  await bmc.close()
  assert.equal(service.requests.length, 0)
})

test('a session that the BMC has ended is opened once more, and then the password is taken for wrong', async (t) => {
  const rig = await redfishRig(t)
  const { bmc, service } = rig
  await bmc.readPower(signal)
  service.sessions.end()
  assert.equal(await bmc.readPower(signal), 'off')
  assert.equal(asked(rig, 'POST', '/Sessions'), 2)
  service.sessions.changePassword('another')
  await assert.rejects(bmc.readPower(signal), /refused the login \(HTTP 401\)/)
  assert.equal(asked(rig, 'POST', '/Sessions'), 3, 'one refusal a call')
  assert.ok(service.requests.every(({ headers }) => headers['authorization'] === undefined))
})

test('HTTP Basic is used where there are no sessions, without asking for one each time', async (t) => {
  const rig = await redfishRig(t, { faults: ['no-session-service'] })
  assert.equal(await rig.bmc.readPower(signal), 'off')
  assert.equal(await rig.bmc.readPower(signal), 'off')
  assert.equal(asked(rig, 'POST', '/Sessions'), 1)
})

test('a network boot takes seven requests with logging in and out, for a BMC needs about a second for each', async (t) => {
  const { bmc, service } = await redfishRig(t)
  await bmc.setBootDevice('network', signal)
  await bmc.close()
  assert.equal(service.requests.length, 7)
})

test('what the BMC is tells vendor, model, firmware and serial number', async (t) => {
  const { bmc } = await redfishRig(t)
  const identity = {
    vendor: 'byoi',
    model: 'memory machine',
    firmware: '1.0',
    serial: 'SIM0001',
    weaknesses: [],
  }
  assert.deepEqual(await bmc.identify(signal), identity)
})

test('where only a slot of a console in a browser is there, its user is asked to leave it', async (t) => {
  const { bmc, service } = await redfishRig(t, { faults: ['first-slot-of-a-viewer'] })
  service.faults.use(({ paths }) => async (exchange, next) => {
    const answer = await next(exchange)
    const members = (answer.body as { Members?: unknown[] } | undefined)?.Members
    if (paths.media.some((media) => media === exchange.path)) members?.splice(1)
    return answer
  })
  await assert.rejects(bmc.insertMedia(iso, signal), /from a console/)
})
