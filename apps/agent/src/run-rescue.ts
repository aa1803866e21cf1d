import { pause } from './backoff.ts'
import { type ControlPlane, ControlPlaneLost } from './control-plane-client.ts'
import type { Log } from './log.ts'

/** How often a server in rescue says that it is alive, in ms; more often where the lease is shorter than three of them. */
const aliveEveryMs = 10_000

/**
 * Rescue role of a file-backed server: there is no system to log in to, so it reports itself up without host keys and stays
 * up until it is powered off. Rejects with `EpochOver` when the control plane has gone on to another epoch.
 */
export async function runRescue(control: ControlPlane, log: Log, signal: AbortSignal): Promise<never> {
  const { epoch, leaseMs } = control.lease
  await control.report({
    epoch,
    progress: null,
    log: ['Rescue is up.'],
    outcome: { kind: 'rescue', hostKeys: [], addresses: [] },
  })
  log('Rescue is up.')
  for (;;) {
    await pause(Math.min(aliveEveryMs, leaseMs / 3), signal)
    try {
      await control.report({ epoch, progress: null, log: [], outcome: null })
    } catch (error) {
      // A server in rescue is of use to its owner with or without a control plane.
      if (!(error instanceof ControlPlaneLost)) throw error
    }
  }
}
