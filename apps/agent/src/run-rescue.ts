import { type RescueOrder, errorMessage } from '@byoi/contract'
import type { AgentServer, RescueSystem } from './agent-server.ts'
import { type ControlPlane, ControlPlaneLost } from './control-plane-client.ts'
import { type Log, sentenceOf } from './log.ts'
import { reportAlive } from './report-alive.ts'
import type { Outcome } from './reporter.ts'

/**
 * Rescue role: starts the rescue system, reports where it can be reached, and says that it is alive until it is powered off. Returns only
 * when the system could not be started, and that has been heard. Rejects with `EpochOver` when the control plane has gone on to another
 * epoch.
 */
export async function runRescue(
  order: RescueOrder,
  server: AgentServer,
  control: ControlPlane,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const tell = async (line: string, outcome: Outcome) => {
    log(line)
    await control.report({ epoch: order.epoch, progress: null, log: [line], outcome })
  }
  let system: RescueSystem
  try {
    system = await server.startRescue(order)
  } catch (error) {
    signal.throwIfAborted()
    await tell(`The rescue system does not start: ${sentenceOf(error)}`, notStarted(error))
    return
  }
  await tell(upLine(system), { kind: 'rescue', ...system })
  for (;;) {
    try {
      await reportAlive(control, signal)
    } catch (error) {
      // A server in rescue is of use to its owner with or without a control plane.
      if (!(error instanceof ControlPlaneLost)) throw error
    }
  }
}

const upLine = ({ addresses }: RescueSystem): string =>
  addresses.length === 0
    ? 'Rescue is up, without SSH.'
    : `Rescue is up; SSH listens on ${addresses.join(', ')}.`

const notStarted = (error: unknown): Outcome => ({
  kind: 'failed',
  failure: {
    code: 'INTERNAL',
    message: errorMessage('INTERNAL'),
    cause: `The rescue system does not start: ${sentenceOf(error)}`.slice(0, 4096),
    remedy: "Look at the server's serial console, and ask for the rescue again.",
    disk: 'untouched',
  },
})
