import { type Bmc, BmcError, type BootDevice } from '@byoi/bmc'
import { type BootMedium } from '@byoi/contract'
import { CannotWork } from '../bmcs/bmc-kind.ts'
import { NoRamdisk, readRamdisk } from '../netboot/ramdisk.ts'
import { bootWord } from './boot-word.ts'
import { type ServerRow, type WorkflowContext } from './workflow-context.ts'

/** How the agent, with its boot medium, gets into the RAM of one server. Every call may run twice. */
export interface Carrier {
  /** For the audit: what the BMC is told to boot the agent from. */
  readonly device: BootDevice | 'uefi-http'
  /** What is missing on our own side, before anything is touched; null: nothing. */
  lacks(): Promise<{ cause: string; remedy: string } | null>
  /** Tells the BMC that the next start is the agent's. Returns when it has been read back. */
  setBoot(medium: BootMedium, signal: AbortSignal): Promise<void>
  /** Makes the medium ready for the next start. To be called while the server is off. */
  offer(medium: BootMedium, signal: AbortSignal): Promise<void>
  /** Takes it away again. To be called while the server is off. */
  withdraw(signal: AbortSignal): Promise<void>
}

/** Throws `CannotWork` when the server has no way by which an agent could come. */
export function carrierOf(context: WorkflowContext, bmc: Bmc, { agent_boot: agentBoot }: ServerRow): Carrier {
  if (bmc.localMedium !== null) return localCarrier(bmc, bmc.localMedium)
  if (agentBoot === null)
    throw new CannotWork('It has no agentBoot: there is no way to bring an agent to it.')
  return carriers[agentBoot.way](context, bmc)
}

const localCarrier = (bmc: Bmc, local: NonNullable<Bmc['localMedium']>): Carrier => ({
  device: 'network',
  lacks: async () => null,
  setBoot: (_medium, signal) => bmc.setBootDevice('network', signal),
  offer: (medium, signal) => local.insertMedium(Buffer.from(JSON.stringify(medium)), signal),
  withdraw: (signal) => local.ejectMedium(signal),
})

/** What servers have in common that fetch from the provisioning listener: what it gives out, the database says. */
const remote = ({ provisioning }: WorkflowContext, bmc: Bmc, device: BootDevice) => ({
  lacks: async () => (provisioning === null ? noListener : await withoutRamdisk(provisioning.ramdisk)),
  setBoot: (_medium: BootMedium, signal: AbortSignal) => bmc.setBootDevice(device, signal),
  offer: async () => {},
  withdraw: async () => {},
})

const netbootCarrier = (context: WorkflowContext, bmc: Bmc): Carrier => ({
  ...remote(context, bmc, 'network'),
  device: 'network',
})

function virtualMediaCarrier(context: WorkflowContext, bmc: Bmc): Carrier {
  const { virtualMedia } = bmc
  if (virtualMedia === null) throw new CannotWork('Its BMC has no virtual media that byoi can use.')
  return {
    ...remote(context, bmc, 'cd'),
    device: 'cd',
    offer: async ({ secret }, signal) => {
      await virtualMedia.insertMedia(
        `${context.provisioning?.mediaUrl}/media/${bootWord(secret)}.iso`,
        signal,
      )
    },
    withdraw: (signal) => virtualMedia.ejectMedia(signal),
  }
}

/**
 * The BMC tells the firmware what to fetch where it can. Where it cannot, the firmware boots from the network, and DHCP tells it (see
 * `byoi netboot config`).
 */
function uefiHttpCarrier(context: WorkflowContext, bmc: Bmc): Carrier {
  return {
    ...remote(context, bmc, 'network'),
    device: 'uefi-http',
    setBoot: async ({ secret }, signal) => {
      try {
        if (!hasHttpBoot(bmc)) return await bmc.setBootDevice('network', signal)
        await bmc.setHttpBoot(`${context.provisioning?.url}/media/${bootWord(secret)}.iso`, signal)
      } catch (error) {
        if (!(error instanceof BmcError) || error.fault !== 'refused') throw error
        await bmc.setBootDevice('network', signal)
      }
    },
  }
}

const carriers = {
  netboot: netbootCarrier,
  'virtual-media': virtualMediaCarrier,
  'uefi-http': uefiHttpCarrier,
}

interface HttpBoot {
  setHttpBoot(url: string, signal: AbortSignal): Promise<void>
}

const hasHttpBoot = (bmc: Bmc): bmc is Bmc & HttpBoot => 'setHttpBoot' in bmc

const noListener = {
  cause: 'This control plane has no provisioning listener, from which a server could fetch its agent.',
  remedy: 'The operator starts it with byoi up --provisioning HOST:PORT.',
}

async function withoutRamdisk(directory: string): Promise<{ cause: string; remedy: string } | null> {
  try {
    await readRamdisk(directory)
    return null
  } catch (error) {
    if (error instanceof NoRamdisk) return { cause: error.message, remedy: error.remedy }
    throw error
  }
}
