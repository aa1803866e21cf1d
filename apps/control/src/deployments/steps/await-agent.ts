import { restart } from '../outcomes.ts'
import { believedPower } from '../power-reading.ts'
import { type Step } from '../step.ts'
import { pollMs } from './power-on.ts'

/**
 * P5. The join moves the deployment on; here only its absence is judged. A server that is off has lost its agent, one that is
 * on for longer than the boot time-out boots something else: both get a new epoch.
 */
export const awaitAgent: Step = async (step) => {
  const { row, settings, now } = step
  const began = row.steps.at(-1)?.startedAt
  const since = now.getTime() - Date.parse(began ?? row.updated_at.toISOString())
  if (since < Math.min(pollMs(step), settings.bootTimeoutMs)) return { wait: pollMs(step) - since }
  const power = await believedPower(step)
  if (power === 'off') return restart(step, row, 'unjoined')
  return since > settings.bootTimeoutMs ? restart(step, row, 'late') : { wait: pollMs(step) }
}
