import { failing, restart } from '../outcomes.ts'
import { believedPower } from '../power-reading.ts'
import { type Step, type StepContext } from '../step.ts'
import { type Change } from '../transition.ts'
import { pollMs } from './power-on.ts'

/**
 * P6 to P11. The agent's reports move the deployment on; here only its silence is judged. Off is believed only when the agent
 * has been silent for the lease. A silent agent on a server that is on may be streaming: it has until `lostAgentMs`.
 */
export const agentWorks: Step = async (step) => {
  const { row, settings, now } = step
  const silentMs = now.getTime() - (row.agent_seen_at ?? row.updated_at).getTime()
  if (silentMs < pollMs(step)) return { wait: pollMs(step) - silentMs }
  const power = await believedPower(step)
  if (power === 'off') return restart(step, row, 'joined')
  if (silentMs < settings.lostAgentMs) return row.bytes_per_second > 0 ? silent(step) : { wait: pollMs(step) }
  return failing(row, {
    code: 'TIMEOUT',
    cause: `The agent was not heard for ${Math.floor(silentMs / 60_000)} minutes, and the server is on.`,
    remedy: "Check the network between the server and the control plane, and the server's console.",
  })
}

/** A rate of which nothing has been heard any more is not shown as if it were now. */
const silent = (step: StepContext): Change => ({
  set: { bytes_per_second: 0, seconds_left: null },
  look: pollMs(step),
  action: 'agent.silent',
})
