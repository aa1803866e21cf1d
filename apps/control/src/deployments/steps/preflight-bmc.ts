import { failing } from '../outcomes.ts'
import { command, type Step } from '../step.ts'

/**
 * P2. We can bring the agent, and the BMC answers and tells the power state. Changes nothing on the server, so there is nothing to
 * undo.
 */
export const preflightBmc: Step = async (step) => {
  const lack = await step.carrier.lacks()
  if (lack !== null) return failing(step.row, { code: 'INTERNAL', ...lack })
  const power = await command(step, 'read-power', (signal) => step.bmc.readPower(signal))
  await step.locked
    .updateTable('server')
    .set({ power_state: power })
    .where('id', '=', step.row.server_id)
    .execute()
  return {
    phase: 'boot-from-agent',
    evidence: { powerWas: step.row.evidence.powerWas ?? power },
    look: 'now',
    action: 'deployment.preflight-bmc',
    detail: { power },
  }
}
