import { command, type Step } from '../step.ts'

/**
 * P13. Off, boot medium out, and on again, onto the disk; a server that was off when it was inspected stays off. Evidence, stored before each act: with `resetOn` of this epoch, a power that reads on
 * is the tenant's system starting, and is never touched again; one that reads off is turned on. Undo: none.
 */
export const reset: Step = async (step) => {
  const { row, bmc, carrier } = step
  const { evidence, epoch } = row
  if (evidence.resetOn !== epoch) {
    if (evidence.resetOff !== epoch) await step.record({ resetOff: epoch }, 'power.reset-off')
    await command(step, 'set-power-off', (signal) => bmc.setPower('off', signal))
    await command(step, 'eject-medium', (signal) => carrier.withdraw(signal))
    // Once more now that it is off: BMCs forget a boot device that waits for its start.
    await command(step, 'set-boot-device', (signal) => bmc.setBootDevice('disk', signal))
    await step.record({ resetOn: epoch }, 'power.reset-on')
  }
  const staysOff = row.kind === 'inspect' && evidence.powerWas === 'off'
  if (!staysOff) await command(step, 'set-power-on', (signal) => bmc.setPower('on', signal))
  return { phase: 'close', look: 'now', action: 'deployment.reset' }
}
