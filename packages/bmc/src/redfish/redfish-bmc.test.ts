import assert from 'node:assert/strict'
import { test } from 'node:test'
import { account, redfishRig } from '../testing/redfish-rig.ts'

const { signal } = new AbortController()

test('power on and off', async (t) => {
  const { bmc, machine, service } = await redfishRig(t)
  assert.equal(await bmc.readPower(signal), 'off')
  await bmc.setPower('on', signal)
  await bmc.setPower('on', signal)
  assert.equal(await bmc.readPower(signal), 'on')
  await bmc.setPower('off', signal)
  assert.deepEqual(machine.actions, ['on', 'off'])
  await bmc.setBootDevice('cd', signal)
  assert.equal(await bmc.readBootDevice(signal), 'cd')
  await bmc.insertMedia('http://127.0.0.1/a/agent.iso', signal)
  assert.equal(machine.medium()?.url, 'http://127.0.0.1/a/agent.iso')
  await bmc.setPower('on', signal)
  assert.equal(await bmc.readBootDevice(signal), null)
  await bmc.setPower('off', signal)
  await bmc.ejectMedia(signal)
  await bmc.setHttpBoot('http://127.0.0.1/x.efi', signal)
  assert.equal(await bmc.readBootDevice(signal), 'network')
  console.log(await bmc.identify(signal), machine.starts, machine.boot())
  await bmc.close()
  assert.deepEqual(service.sessions.ids(), [])
  console.log(service.requests.map(({ method, path }) => `${method} ${path}`).join('\n'))
  void account
})
