import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FaultName } from '../simulated/fault-switches.ts'
import { redfishRig } from '../testing/redfish-rig.ts'
import { assertDeployed, deploy, runningMachine } from './deployment.fixture.ts'
import { endings } from './endings.fixture.ts'

/** Those that take more than one try of a call, with how many. */
const repeated: readonly { fault: FaultName; tries: number }[] = [
  { fault: 'silent-once', tries: 2 },
  { fault: 'late-30s', tries: 2 },
  { fault: 'restarts', tries: 6 },
  { fault: 'boot-stale-60s', tries: 2 },
]

/** Those with a test of their own, or among the vendors' quirks. */
const apart: readonly FaultName[] = [
  'only-usbcd-boots',
  'turned-off-by-hand-once',
  'cd-by-dell-import',
  'boot-by-fujitsu-config',
]

/** A test for each: a misbehaviour that is named nowhere else, also one that is added later, is one to get over. */
export function testSurvival(names: readonly FaultName[]): void {
  const elsewhere = endings.map(({ fault }) => fault).concat(apart)
  for (const fault of names.filter((name) => !elsewhere.includes(name))) {
    const tries = repeated.find((row) => row.fault === fault)?.tries ?? 1
    const how = tries === 1 ? 'within its calls' : `in ${tries} tries`
    void test(`a deployment gets over ${fault}, ${how}`, async (t) => {
      const machine = await runningMachine()
      const rig = await redfishRig(t, { machine, faults: [fault] })
      const deployed = await deploy(rig)
      assertDeployed(machine, deployed)
      assert.equal(deployed.tries, tries)
      assert.deepEqual(rig.service.sessions.ids(), [], 'every session was ended')
    })
  }
}
