import assert from 'node:assert/strict'
import { test } from 'node:test'
import { account, redfishRig } from '../testing/redfish-rig.ts'
import { deploy, runningMachine } from './deployment.fixture.ts'
import { endings } from './endings.fixture.ts'

for (const { fault, at, ends, error, says } of endings) {
  test(`a deployment ends at ${at} with ${fault}: ${error}, then ${ends}`, async (t) => {
    const machine = await runningMachine()
    const { stopped } = await deploy(await redfishRig(t, { machine, faults: [fault] }))
    assert.ok(stopped)
    const { last } = stopped
    assert.deepEqual([stopped.at, last.ends, last.error?.fault], [at, ends, error])
    assert.match(last.error?.message ?? '', says)
    const told = `${last.error?.message} ${last.error?.remedy}`
    assert.ok(!told.includes(account.password) && !told.includes('7f3a'), 'nothing secret is told')
  })
}
