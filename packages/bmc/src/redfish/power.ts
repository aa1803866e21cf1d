import { BmcError, type PowerState } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { type Resource } from './client.ts'
import { isLost, kindOf, refusal } from './errors.ts'
import { textAt, textsAt } from './json.ts'
import { readSystem, type Server } from './server.ts'
import { Task } from './tasks.ts'

/** Two readings that agree are at least this far apart: BMCs go on showing a state for a while after it has changed. */
const readingsApartMs = 2000
const changingMs = 60_000
const changingPollMs = 3000
const refusedMs = 75_000
const refusedAgainMs = 10_000
/** Measured: an HPE Cray EX235a takes 46 s to show On (chaos/powerman #67). */
const settleMs = 110_000

/** `On` and `Off` are states to act on; the rest (`PoweringOn`, `Paused`, null while a BMC starts) asks to look again. */
function stateOf({ json }: Resource): PowerState | null {
  const state = textAt(json, 'PowerState')
  if (state === 'On') return 'on'
  return state === 'Off' ? 'off' : null
}

interface Reading {
  system: Resource
  state: PowerState
}

/** Off is concluded from two readings only. Throws `BmcError`, with an unknown outcome when no state is reached. */
async function read(server: Server): Promise<Reading> {
  const patience = server.budget.within(changingMs)
  let last: PowerState | null = null
  for (;;) {
    const system = await readSystem(server)
    const state = stateOf(system)
    if (state === 'on' || (state === 'off' && last === 'off')) return { system, state }
    last = state
    if (!(await patience.pause(state === 'off' ? readingsApartMs : changingPollMs))) {
      throw unsettled(`shows the power as ${shown(server, system)} and no other state`)
    }
  }
}

export const readPower = async (server: Server): Promise<PowerState> => (await read(server)).state

/** ForceOff or On, never a restart: an override or a medium that is set between the two is in place when it starts. */
export async function setPower(server: Server, to: PowerState): Promise<void> {
  const now = await read(server)
  if (now.state === to) return
  const request = await requestReset(server, now.system, to)
  if (request !== 'there') await settle(server, to, request)
}

/** What is known of a reset after it was asked for. `lost`: the answer never came, so it may have been done. */
interface Request {
  task: Task | null
  lost: BmcError | null
}

async function requestReset(server: Server, system: Resource, to: PowerState): Promise<Request | 'there'> {
  const { client, budget } = server
  const { target, type } = resetAction(system, to)
  const patience = budget.within(refusedMs)
  for (;;) {
    let answer: Answer
    try {
      answer = await client.post(target, { ResetType: type }, budget, { once: true })
    } catch (error) {
      if (isLost(error)) return { task: null, lost: error }
      throw error
    }
    if (answer.ok) return { task: Task.of(answer, client, budget), lost: null }
    const kind = kindOf(answer)
    const error = refusal(`refused to turn the server ${to}`, answer, client.clean)
    if (kind === 'broken') return { task: null, lost: error }
    if ((await readPower(server)) === to) return 'there'
    const mayPause = await patience.pause(refusedAgainMs)
    // Already there is a refusal on many ("host is powered off", ironic redfish/power.py), and what is shown may lag behind.
    if (mayPause && kind !== 'busy' && (await readPower(server)) === to) return 'there'
    if (!mayPause || kind !== 'busy') throw error
  }
}

/** The lists of values are wrong on some (two words glued together on a Supermicro), so they are advice only. */
function resetAction({ json, path }: Resource, to: PowerState) {
  const action = ['Actions', '#ComputerSystem.Reset']
  const allowed = textsAt(json, ...action, 'ResetType@Redfish.AllowableValues')
  const target = textAt(json, ...action, 'target') ?? `${path}/Actions/ComputerSystem.Reset`
  const on = !allowed.includes('On') && allowed.includes('ForceOn') ? 'ForceOn' : 'On'
  return { target, type: to === 'on' ? on : 'ForceOff' }
}

async function settle(server: Server, to: PowerState, { task, lost }: Request): Promise<void> {
  const pause = server.budget.within(settleMs).pacer(readingsApartMs)
  let last: PowerState | null = null
  for (;;) {
    await task?.check(`did not turn the server ${to}`, server.budget)
    const system = await readSystem(server)
    const state = stateOf(system)
    if (state === to && (to === 'on' || last === to)) return
    last = state
    if (await pause()) continue
    if (lost !== null) throw lost
    throw unsettled(`took the command to turn the server ${to}, and shows it as ${shown(server, system)}`)
  }
}

const shown = ({ client }: Server, { json }: Resource): string =>
  client.clean(textAt(json, 'PowerState') ?? 'unknown')

const unsettled = (what: string): BmcError =>
  new BmcError(`The BMC ${what}.`, {
    fault: 'not-done',
    outcome: 'unknown',
    remedy: 'Look at the server; if what the BMC shows is wrong, restart the BMC.',
  })
