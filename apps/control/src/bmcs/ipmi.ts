import { IpmiBmc, type Timekeeper } from '@byoi/bmc'
import { type BmcKind, type BmcServer, CannotWork, shownIdentity } from './bmc-kind.ts'
import { ipmiPassword, readIpmiSettings } from './ipmi-settings.ts'

/** BMCs that speak IPMI 2.0 over LAN. */
export const ipmiKind: BmcKind = {
  open: ({ clock }, server) => openIpmi(server, clock),

  enrol: async ({ clock }, server, signal) => {
    const { agentBoot, settings } = server
    const { host, port } = readIpmiSettings(settings)
    if (agentBoot === null) throw new CannotWork('A server with an IPMI BMC needs agentBoot.')
    if (agentBoot.way === 'virtual-media') {
      throw new CannotWork('IPMI has no virtual media: choose netboot, or enrol the BMC with Redfish.')
    }
    const bmc = openIpmi(server, clock)
    try {
      await bmc.readPower(signal)
      return { settings: { ...settings, host, port }, identity: shownIdentity(await bmc.identify(signal)) }
    } finally {
      await bmc.close()
    }
  },

  resource: (settings) => {
    const { host, port } = readIpmiSettings(settings)
    return { what: 'BMC', settings: { host, port } }
  },
}

const openIpmi = (server: BmcServer, clock: Timekeeper): IpmiBmc =>
  new IpmiBmc({
    ...readIpmiSettings(server.settings),
    password: ipmiPassword(server),
    firmware: server.boot,
    clock,
  })
