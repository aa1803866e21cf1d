import { command, type StepContext } from './step.ts'

/**
 * Undoes what a deployment that never touched the power has done to its server: the boot device is what it was, and the boot
 * medium is gone. May run twice.
 */
export async function putBack(step: StepContext): Promise<void> {
  const { bmc, carrier, row } = step
  const { bootWas } = row.evidence
  await command(step, 'eject-medium', (signal) => carrier.withdraw(signal))
  if (bootWas !== undefined) {
    await command(step, 'set-boot-device', (signal) => bmc.setBootDevice(bootWas, signal))
  }
}
