import { type ControlPlane, ControlPlaneLost, EpochOver, joinControlPlane } from './control-plane-client.ts'
import { readBootMedium } from './boot-medium.ts'
import { type GivenDisk, findDisks } from './disks.ts'
import { type Log, sentenceOf } from './log.ts'
import { type Engine, runDeploy } from './run-deploy.ts'
import { runRescue } from './run-rescue.ts'

/** Compared by the control plane with the oldest release that it still works with. */
const release = '0.1.0'

export interface AgentOptions {
  bootMedium: string
  disk: GivenDisk
  engine: Engine
  log: Log
  /** How long to go on without an answer of the control plane, in ms. */
  patienceMs: number
  signal: AbortSignal
}

/** `done`: the outcome was heard. `stopped`: the control plane wants this agent no more, or was lost for good. */
export type AgentEnd = 'done' | 'stopped'

/**
 * The life of an agent: it reads its boot medium, joins with a key that exists in RAM only, fetches its order, carries it
 * out, and is heard. Rejects when the medium or the disk cannot be read.
 */
export async function runAgent(options: AgentOptions): Promise<AgentEnd> {
  const { log } = options
  const medium = await readBootMedium(options.bootMedium)
  const disks = await findDisks(options.disk)
  log(`Agent ${release} of ${medium.server}, epoch ${medium.epoch}, calls ${medium.controlUrl}.`)

  // Whatever still waits for an answer when the agent ends must not be sent any more.
  const ending = new AbortController()
  const signal = AbortSignal.any([options.signal, ending.signal])
  let control: ControlPlane | undefined
  try {
    control = await joinControlPlane({
      medium,
      disks,
      machine: null,
      release,
      log,
      signal,
      patienceMs: options.patienceMs,
    })
    log('Joined.')
    const order = await control.order()
    switch (order.kind) {
      case 'deploy':
        await runDeploy(order, disks, control, options.engine, log, signal)
        log('The outcome was heard.')
        return 'done'
      case 'inspect':
        await control.report({
          epoch: order.epoch,
          progress: null,
          log: [],
          outcome: { kind: 'inspected', findings: [] },
        })
        return 'done'
      case 'rescue':
        return await runRescue(control, log, signal)
      default:
        throw new Error('The order is of a kind that this agent does not know.')
    }
  } catch (error) {
    if (!(error instanceof EpochOver || error instanceof ControlPlaneLost)) throw error
    log(`Stopping: ${sentenceOf(error)}`)
    return 'stopped'
  } finally {
    ending.abort()
    control?.close()
  }
}
