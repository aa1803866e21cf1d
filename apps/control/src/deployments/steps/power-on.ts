import { readBootMedium } from '../boot-medium.ts'
import { restart } from '../outcomes.ts'
import { command, type Step, type StepContext } from '../step.ts'

/**
 * P4. Off, boot medium in, on. The off comes after the boot secret was minted and is confirmed before the medium goes in.
 *
 * Evidence, stored before each act: after a crash with `onIntent` of this epoch, a power that reads on was turned on by us,
 * and is not cycled again; one that reads off is turned on. Undo: turning the server off, when the deployment fails.
 */
export const powerOn: Step = async (step) => {
  const { row, bmc, carrier, locked, server, now } = step
  const { evidence, epoch } = row
  if (evidence.onIntent !== epoch) {
    if (evidence.wasOff !== epoch) await turnOff(step)
    const medium = await readBootMedium(step, locked, row, server, now)
    if (medium === null) return restart(step, row, 'unjoined')
    await command(step, 'insert-medium', (signal) => carrier.offer(medium, signal))
    // Once more now that it is off: BMCs forget a boot device that waits for its start.
    await command(step, 'set-boot-device', (signal) => carrier.setBoot(medium, signal))
    await step.record({ onIntent: epoch, powerTouched: true }, 'power.on')
  }
  // Turning on what is on does nothing, so a repeat cannot become a second cycle.
  await command(step, 'set-power-on', (signal) => bmc.setPower('on', signal))
  return {
    phase: 'await-agent',
    set: { agent_seen_at: null },
    look: pollMs(step),
    action: 'deployment.powered-on',
  }
}

async function turnOff(step: StepContext): Promise<void> {
  const { row, bmc } = step
  if (row.evidence.offIntent !== row.epoch) {
    await step.record({ offIntent: row.epoch, powerTouched: true }, 'power.off')
  }
  await command(step, 'set-power-off', (signal) => bmc.setPower('off', signal))
  await step.record({ wasOff: row.epoch }, 'power.was-off')
}

/** How often the power of a server that says nothing is read, in ms. */
export const pollMs = ({ server, settings }: StepContext): number =>
  server.bmc_kind === 'local' ? settings.localLeaseMs : settings.leaseMs
