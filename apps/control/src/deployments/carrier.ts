import { type Bmc, type BootDevice } from '@byoi/bmc'
import { type BootMedium } from '@byoi/contract'
import { type ServerRow } from './workflow-context.ts'

/** How the agent, with its boot medium, gets into the RAM of one server. Every call may run twice. */
export interface Carrier {
  /** What the BMC is told to boot the agent from. */
  device: BootDevice
  /** Makes the medium ready for the next start. To be called while the server is off. */
  offer(medium: BootMedium, signal: AbortSignal): Promise<void>
  /** Takes it away again. To be called while the server is off. */
  withdraw(signal: AbortSignal): Promise<void>
}

/** Throws an Error with one sentence when the server has no way by which an agent could come. */
export function carrierOf(bmc: Bmc, server: ServerRow): Carrier {
  if (bmc.localMedium !== null) return localCarrier(bmc.localMedium)
  throw new Error(`No agent can be brought to ${server.service_name}.`)
}

const localCarrier = (local: NonNullable<Bmc['localMedium']>): Carrier => ({
  device: 'network',
  offer: (medium, signal) => local.insertMedium(Buffer.from(JSON.stringify(medium)), signal),
  withdraw: (signal) => local.ejectMedium(signal),
})
