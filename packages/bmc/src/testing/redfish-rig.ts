import { createHash, X509Certificate } from 'node:crypto'
import { type TestContext } from 'node:test'
import { RedfishBmc, type RedfishOptions } from '../redfish/redfish-bmc.ts'
import { type FaultName } from '../simulated/fault-switches.ts'
import { type Machine } from '../simulated/machine.ts'
import { MemoryMachine } from '../simulated/memory-machine.ts'
import { type RedfishService, startRedfishService } from '../simulated/redfish-service.ts'
import { makeCertificate } from './certificate.ts'
import { FakeClock } from './fake-clock.ts'

export const account = { user: 'admin', password: 'correct horse battery' }

const certificate = makeCertificate()

/** As `readSpki` gives it, told from the certificate itself. */
export function spkiOf(cert: string): string {
  const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64')
}

export interface Rig {
  machine: MemoryMachine
  clock: FakeClock
  service: RedfishService
  options: RedfishOptions
  bmc: RedfishBmc
}

/** The driver against a simulated BMC, over TLS, in simulated time. Closed with the test. */
export async function redfishRig(
  t: TestContext,
  setup: { faults?: readonly FaultName[]; machine?: Machine; options?: Partial<RedfishOptions> } = {},
): Promise<Rig> {
  const clock = new FakeClock()
  const machine = (setup.machine ?? new MemoryMachine()) as MemoryMachine
  const tls = await certificate
  const { faults = [] } = setup
  const service = await startRedfishService({
    machine,
    ...account,
    tls,
    host: '127.0.0.1',
    port: 0,
    faults,
    clock,
  })
  const options: RedfishOptions = {
    address: service.url,
    ...account,
    spki: spkiOf(tls.cert),
    firmware: 'uefi',
    system: null,
    console: null,
    clock,
    ...setup.options,
  }
  const bmc = new RedfishBmc(options)
  t.after(async () => {
    await bmc.close()
    await service.close()
  })
  return { machine, clock, service, options, bmc }
}
