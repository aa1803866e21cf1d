import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { MemoryMachine } from './memory-machine.ts'
import { startRedfishService } from './redfish-service.ts'

const python = '/usr/bin/python3'
const sushy = '/usr/lib/python3/dist-packages/sushy/__init__.py'
const account = { user: 'admin', password: 'correct horse' }

/** Each line is what the client saw, after what it did. */
const client = `
import sushy, sys
bmc = sushy.Sushy(sys.argv[1], username='admin', password=sys.stdin.readline())
system = bmc.get_system_collection().get_members()[0]
print('power', system.power_state.value)
system.set_system_boot_options(sushy.BOOT_SOURCE_TARGET_PXE, enabled=sushy.BOOT_SOURCE_ENABLED_ONCE,
    mode=sushy.BOOT_SOURCE_MODE_UEFI)
system.refresh()
print('boot', system.boot.target.value, system.boot.enabled.value, system.boot.mode.value)
system.reset_system(sushy.RESET_ON)
system.refresh()
print('power', system.power_state.value, 'boot', system.boot.target.value, system.boot.enabled.value)
for name in ('PowerCycle', 'ForceRestart', 'GracefulShutdown', 'ForceOff'):
    system.reset_system(next(each for each in sushy.ResetType if each.value == name))
cd = bmc.get_manager_collection().get_members()[0].virtual_media.get_members()[0]
cd.insert_media('http://127.0.0.1/agent.iso')
cd.refresh()
print('media', cd.inserted, cd.image)
cd.eject_media()
cd.refresh()
print('media', cd.inserted, cd.image)
`

const skip = existsSync(sushy) ? false : 'needs the Debian package python3-sushy'

test('python3-sushy, a real client, finds the system, turns it on from the network, inserts and ejects', {
  skip,
}, async (t) => {
  const machine = new MemoryMachine()
  const service = await startRedfishService({ machine, ...account, tls: null, host: '127.0.0.1', port: 0 })
  t.after(() => service.close())
  const running = promisify(execFile)(python, ['-c', client, service.url])
  running.child.stdin?.end(account.password)
  const { stdout } = await running
  assert.deepEqual(stdout.trim().split('\n'), [
    'power Off',
    'boot Pxe Once UEFI',
    'power On boot None Disabled',
    'media True http://127.0.0.1/agent.iso',
    'media False None',
  ])
  assert.deepEqual(machine.actions, ['on', 'cycle', 'reset', 'soft-off', 'off'])
  assert.deepEqual(
    machine.starts.map(({ boot }) => boot.device),
    ['network', null, null],
  )
  assert.deepEqual(service.sessions.ids(), [], 'it logged out')
})
