import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serverFaultNames } from '../simulated/fault-switches.ts'
import { redfishRig } from '../testing/redfish-rig.ts'
import { deploy, runningMachine } from './deployment.fixture.ts'
import { testSurvival } from './survival.fixture.ts'

testSurvival(serverFaultNames)

test('a server that somebody turns off by hand is found off, and turned on again', async (t) => {
  const machine = await runningMachine()
  const { stopped, tries } = await deploy(
    await redfishRig(t, { machine, faults: ['turned-off-by-hand-once'] }),
  )
  assert.equal(stopped, null)
  assert.equal(tries, 2)
  assert.equal(await machine.power(), 'on')
})
