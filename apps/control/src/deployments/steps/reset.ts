import { command, type Step } from '../step.ts'

/**
 * P13. Off and on again, onto the disk. Evidence, stored before each act: with `resetOn` of this epoch, a power that reads on
 * is the tenant's system starting, and is never touched again; one that reads off is turned on. Undo: none.
 */
export const reset: Step = async (step) => {
  const { row, bmc } = step
  const { evidence, epoch } = row
  if (evidence.resetOn !== epoch) {
    if (evidence.resetOff !== epoch) await step.record({ resetOff: epoch }, 'power.reset-off')
    await command(step, 'set-power-off', (signal) => bmc.setPower('off', signal))
    await step.record({ resetOn: epoch }, 'power.reset-on')
  }
  await command(step, 'set-power-on', (signal) => bmc.setPower('on', signal))
  return { phase: 'close', look: 'now', action: 'deployment.reset' }
}
