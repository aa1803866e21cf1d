import { setTimeout as sleep } from 'node:timers/promises'
import { type PowerState } from '@byoi/bmc'
import { command, type StepContext } from './step.ts'

/**
 * The power as it is believed: off only when two readings, some seconds apart, say so. BMCs tell stale states, and off makes the
 * workflow start the server anew. A file-backed server's reading cannot be wrong.
 */
export async function believedPower(step: StepContext): Promise<PowerState> {
  const read = () => command(step, 'read-power', (signal) => step.bmc.readPower(signal))
  const first = await read()
  if (first === 'on' || step.server.bmc_kind === 'local') return first
  await sleep(step.settings.readingsApartMs)
  return await read()
}
