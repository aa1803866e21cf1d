import { command, type Step } from '../step.ts'

/** P12. The disk is verified and published: from now on the server starts it. Idempotent, read back. */
export const bootFromDisk: Step = async (step) => {
  const { bmc } = step
  await command(step, 'set-boot-device', (signal) => bmc.setBootDevice('disk', signal))
  return { phase: 'reset', look: 'now', action: 'deployment.boot-device', detail: { device: 'disk' } }
}
