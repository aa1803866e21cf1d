import type { InspectOrder } from '@byoi/contract'
import type { AgentServer } from './agent-server.ts'
import type { ControlPlane } from './control-plane-client.ts'
import type { Log } from './log.ts'

/** What one report takes, by the protocol. */
const mostFindings = 64
const longestFinding = 1024

/** Tells what the join did not: findings. The facts of the server were in the join. Rejects as `ControlPlane.report` does. */
export async function runInspect(
  order: InspectOrder,
  server: AgentServer,
  control: ControlPlane,
  log: Log,
): Promise<void> {
  const found = (await server.findings()).slice(0, mostFindings)
  const findings = found.map((finding) => finding.slice(0, longestFinding))
  for (const finding of findings) log(finding)
  await control.report({
    epoch: order.epoch,
    progress: null,
    log: [],
    outcome: { kind: 'inspected', findings },
  })
}
