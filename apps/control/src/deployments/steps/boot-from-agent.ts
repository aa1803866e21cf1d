import { readBootMedium } from '../boot-medium.ts'
import { restart } from '../outcomes.ts'
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
  const { carrier, locked, row, server, now } = step
  const medium = await readBootMedium(step, locked, row, server, now)
  if (medium === null) return restart(step, row, 'unjoined')
  await command(step, 'set-boot-device', (signal) => carrier.setBoot(medium, signal))
  const { device } = carrier
  return { phase: 'power-on', look: 'now', action: 'deployment.boot-device', detail: { device } }
}
