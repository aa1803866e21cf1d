import assert from 'node:assert/strict'
import { type Bmc } from '../bmc.ts'
import { type BmcCall } from '../judge.ts'
import { type MachineIdentity } from '../simulated/machine.ts'
import { MemoryMachine } from '../simulated/memory-machine.ts'
import { type Judged, judged } from '../testing/judged.ts'
import { type Rig } from '../testing/redfish-rig.ts'
import { RedfishBmc } from './redfish-bmc.ts'

const { signal } = new AbortController()
export const iso = 'https://10.0.0.1/agent/7f3a/agent.iso'
const longestMs = 150_000

interface Step {
  name: string
  call: BmcCall
  run: (bmc: Bmc) => Promise<void>
}

/** What a deployment by virtual media asks of a BMC, in order. */
const deployment: readonly Step[] = [
  { name: 'off', call: 'set-power', run: (bmc) => bmc.setPower('off', signal) },
  { name: 'insert', call: 'media', run: async (bmc) => await bmc.virtualMedia?.insertMedia(iso, signal) },
  { name: 'boot-cd', call: 'set-boot', run: (bmc) => bmc.setBootDevice('cd', signal) },
  { name: 'on', call: 'set-power', run: (bmc) => bmc.setPower('on', signal) },
  { name: 'off-again', call: 'set-power', run: (bmc) => bmc.setPower('off', signal) },
  { name: 'eject', call: 'media', run: async (bmc) => await bmc.virtualMedia?.ejectMedia(signal) },
  { name: 'boot-disk', call: 'set-boot', run: (bmc) => bmc.setBootDevice('disk', signal) },
  { name: 'on-again', call: 'set-power', run: (bmc) => bmc.setPower('on', signal) },
]

export interface Deployed {
  /** Most tries that a step took. */
  tries: number
  /** The step that it ended at, before its end. */
  stopped: { at: string; last: Judged } | null
}

/** Runs it as the workflow would. */
export async function deploy(rig: Rig): Promise<Deployed> {
  let tries = 0
  for (const { name, call, run } of deployment) {
    const last = await judged(call, { clock: rig.clock, open: () => new RedfishBmc(rig.options), use: run })
    tries = Math.max(tries, last.tries)
    assert.ok(last.longest <= longestMs, `${name} took ${last.longest} ms`)
    if (last.ends !== 'done') return { tries, stopped: { at: name, last } }
  }
  return { tries, stopped: null }
}

/** A server that runs its old system, with a forgotten medium in its virtual CD. */
export async function runningMachine(identity: Partial<MachineIdentity> = {}): Promise<MemoryMachine> {
  const uuid = '6ba7b810-9dad-41d1-80b4-00c04fd430c8'
  const machine = new MemoryMachine({
    identity: { uuid, manufacturer: 'Contoso', model: 'M', serial: 'S1', ...identity },
  })
  await machine.insert('http://10.0.0.1/old.iso')
  await machine.act('on')
  return machine
}

/** The agent was booted from its CD, and then the disk, each once. */
export function assertDeployed(machine: MemoryMachine, { stopped }: Deployed): void {
  assert.equal(stopped, null, `${stopped?.at}: ${stopped?.last.error?.message}`)
  const [, agent, system] = machine.starts
  assert.deepEqual([agent?.boot.device, agent?.boot.firmware, agent?.medium], ['cd', 'uefi', iso])
  assert.deepEqual([system?.boot.device, system?.medium], ['disk', null])
  assert.equal(machine.starts.length, 3, 'each start happened once')
}
