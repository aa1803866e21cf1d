import { command, type Step } from '../step.ts'

/**
 * P3. The server's next start is byoi's agent. Setting is idempotent and read back by the driver, so a repeat is harmless.
 * The boot medium follows in power-on, once the server is off: a system that still runs must not read the boot secret.
 * Undo: a deployment that is cancelled before any power action puts back what it was (put-back.ts).
 */
export const bootFromAgent: Step = async (step) => {
  if (step.row.evidence.bootWas === undefined) {
    const bootWas = await command(step, 'read-boot-device', (signal) => step.bmc.readBootDevice(signal))
    await step.record({ bootWas }, 'boot-device.was')
  }
  const { device } = step.carrier
  await command(step, 'set-boot-device', (signal) => step.bmc.setBootDevice(device, signal))
  return { phase: 'power-on', look: 'now', action: 'deployment.boot-device', detail: { device } }
}
