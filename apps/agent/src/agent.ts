import type { BootMedium, Order } from '@byoi/contract'
import type { AgentServer } from './agent-server.ts'
import { type ControlPlane, ControlPlaneLost, EpochOver, joinControlPlane } from './control-plane-client.ts'
import { type Log, sentenceOf } from './log.ts'
import { reportAlive } from './report-alive.ts'
import { type Engine, runDeploy } from './run-deploy.ts'
import { runInspect } from './run-inspect.ts'
import { runRescue } from './run-rescue.ts'

/** Compared by the control plane with the oldest release that it still works with. */
export const release = '0.1.0'

/** A control plane that is back within half an hour still finds its agent. In ms. */
export const agentPatienceMs = 35 * 60_000

export interface AgentOptions {
  medium: BootMedium
  server: AgentServer
  engine: Engine
  log: Log
  /** How long to go on without an answer of the control plane, in ms. */
  patienceMs: number
  signal: AbortSignal
}

/** `done`: the outcome was heard. `stopped`: the control plane wants this agent no more, or was lost for good. */
export type AgentEnd = 'done' | 'stopped'

/**
 * The life of an agent from its join: it joins with a key that exists in RAM only, fetches its order, carries it out, is heard, and
 * stays for as long as its server does.
 */
export async function runAgent(options: AgentOptions): Promise<AgentEnd> {
  const { log, medium, server } = options
  log(`Agent ${release} of ${medium.server}, epoch ${medium.epoch}, calls ${medium.controlUrl}.`)

  // Whatever still waits for an answer when the agent ends must not be sent any more.
  const ending = new AbortController()
  const signal = AbortSignal.any([options.signal, ending.signal])
  let control: ControlPlane | undefined
  try {
    const { disks, machine } = server
    control = await joinControlPlane({ ...options, disks, machine, release, signal })
    log('Joined.')
    await carryOut(await control.order(), control, options, signal)
    log('The outcome was heard.')
    await stay(control, server.staysMs, signal)
    return 'done'
  } catch (error) {
    if (!(error instanceof EpochOver || error instanceof ControlPlaneLost)) throw error
    log(`Stopping: ${sentenceOf(error)}`)
    return 'stopped'
  } finally {
    ending.abort()
    control?.close()
  }
}

async function carryOut(
  order: Order,
  control: ControlPlane,
  { server, engine, log }: AgentOptions,
  signal: AbortSignal,
): Promise<void> {
  switch (order.kind) {
    case 'deploy':
      return runDeploy(order, server, control, engine, log, signal)
    case 'inspect':
      return runInspect(order, server, control, log)
    case 'rescue':
      return runRescue(order, server, control, log, signal)
    default:
      throw new Error('The order is of a kind that this agent does not know.')
  }
}

/** Alive and quiet, until the control plane turns the server off, says that the epoch is over, or has let it stand for `forMs`. */
async function stay(control: ControlPlane, forMs: number, signal: AbortSignal): Promise<void> {
  if (forMs === 0) return
  const enough = AbortSignal.timeout(forMs)
  try {
    await reportAlive(control, AbortSignal.any([signal, enough]))
  } catch (error) {
    if (!enough.aborted || signal.aborted) throw error
  }
}
