import { pause } from './backoff.ts'
import type { ControlPlane } from './control-plane-client.ts'

/** How often an agent that has nothing to do says that it is alive, in ms; more often where the lease is shorter than three of them. */
const aliveEveryMs = 10_000

/**
 * Says that the agent is alive, again and again, until `signal` aborts. Rejects with its reason, or as `ControlPlane.report` does:
 * with `EpochOver` when the control plane has gone on to another epoch.
 */
export async function reportAlive(control: ControlPlane, signal: AbortSignal): Promise<never> {
  const { epoch, leaseMs } = control.lease
  for (;;) {
    await pause(Math.min(aliveEveryMs, leaseMs / 3), signal)
    await control.report({ epoch, progress: null, log: [], outcome: null })
  }
}
