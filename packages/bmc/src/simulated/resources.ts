import { type PowerState } from '../bmc.ts'
import { type Json } from './exchange.ts'
import { type BootSetting, type Machine } from './machine.ts'

/** Paths of the simulated BMC. Its ids are not `1`, so that a client must list what is there. */
export const paths = (uuid: string) => {
  const system = `/redfish/v1/Systems/${uuid}`
  const manager = '/redfish/v1/Managers/BMC'
  return {
    root: '/redfish/v1',
    sessionService: '/redfish/v1/SessionService',
    sessions: '/redfish/v1/SessionService/Sessions',
    systems: '/redfish/v1/Systems',
    system,
    reset: `${system}/Actions/ComputerSystem.Reset`,
    managers: '/redfish/v1/Managers',
    manager,
    tasks: '/redfish/v1/TaskService/Tasks',
    /** The one virtual CD is shown in the System (ComputerSystem 1.13) and, as older clients want it, in the Manager. */
    media: [`${system}/VirtualMedia`, `${manager}/VirtualMedia`],
  } as const
}

export type Paths = ReturnType<typeof paths>

const link = (path: string): Json => ({ '@odata.id': path })

export const collection = (path: string, type: string, name: string, members: readonly string[]): Json => ({
  '@odata.id': path,
  '@odata.type': `#${type}.${type}`,
  Name: name,
  Members: members.map(link),
  'Members@odata.count': members.length,
})

export const serviceRoot = (at: Paths, machine: Machine): Json => ({
  '@odata.id': `${at.root}/`,
  '@odata.type': '#ServiceRoot.v1_16_0.ServiceRoot',
  Id: 'RootService',
  Name: 'Root Service',
  RedfishVersion: '1.15.0',
  UUID: machine.identity.uuid,
  Vendor: 'byoi',
  Product: 'Simulated BMC',
  Systems: link(at.systems),
  Managers: link(at.managers),
  SessionService: link(at.sessionService),
  Links: { Sessions: link(at.sessions) },
})

export const sessionService = (at: Paths): Json => ({
  '@odata.id': at.sessionService,
  '@odata.type': '#SessionService.v1_1_8.SessionService',
  Id: 'SessionService',
  Name: 'Session Service',
  ServiceEnabled: true,
  SessionTimeout: 1800,
  Sessions: link(at.sessions),
})

export const session = (at: Paths, id: string, user: string): Json => ({
  '@odata.id': `${at.sessions}/${id}`,
  '@odata.type': '#Session.v1_6_0.Session',
  Id: id,
  Name: 'User Session',
  UserName: user,
})

export const targets = { disk: 'Hdd', network: 'Pxe', cd: 'Cd', 'uefi-http': 'UefiHttp' } as const

function boot(setting: BootSetting): Json {
  const enabled = setting.once ? 'Once' : 'Continuous'
  return {
    BootSourceOverrideEnabled: setting.device === null ? 'Disabled' : enabled,
    BootSourceOverrideTarget: setting.device === null ? 'None' : targets[setting.device],
    'BootSourceOverrideTarget@Redfish.AllowableValues': ['None', ...Object.values(targets)],
    BootSourceOverrideMode: setting.firmware === 'uefi' ? 'UEFI' : 'Legacy',
    'BootSourceOverrideMode@Redfish.AllowableValues': ['UEFI', 'Legacy'],
    HttpBootUri: setting.httpUri,
  }
}

export const resetTypes = {
  On: 'on',
  ForceOn: 'on',
  ForceOff: 'off',
  GracefulShutdown: 'soft-off',
  ForceRestart: 'reset',
  PowerCycle: 'cycle',
} as const

export const system = (at: Paths, machine: Machine, power: PowerState): Json => ({
  '@odata.id': at.system,
  '@odata.type': '#ComputerSystem.v1_20_0.ComputerSystem',
  Id: machine.identity.uuid,
  Name: 'System',
  SystemType: 'Physical',
  UUID: machine.identity.uuid,
  Manufacturer: machine.identity.manufacturer,
  Model: machine.identity.model,
  SerialNumber: machine.identity.serial,
  PowerState: power === 'on' ? 'On' : 'Off',
  Status: { State: 'Enabled', Health: 'OK' },
  Boot: boot(machine.boot()),
  VirtualMedia: link(at.media[0]),
  Links: { ManagedBy: [link(at.manager)] },
  Actions: {
    '#ComputerSystem.Reset': {
      target: at.reset,
      'ResetType@Redfish.AllowableValues': Object.keys(resetTypes),
    },
  },
})

export const manager = (at: Paths): Json => ({
  '@odata.id': at.manager,
  '@odata.type': '#Manager.v1_18_0.Manager',
  Id: 'BMC',
  Name: 'Manager',
  ManagerType: 'BMC',
  Model: 'Simulated BMC',
  FirmwareVersion: '1.0',
  Status: { State: 'Enabled', Health: 'OK' },
  VirtualMedia: link(at.media[1]),
  Links: { ManagerForServers: [link(at.system)] },
})

export const virtualMedia = (path: string, medium: { url: string } | null): Json => ({
  '@odata.id': path,
  '@odata.type': '#VirtualMedia.v1_6_3.VirtualMedia',
  Id: 'Cd',
  Name: 'Virtual CD',
  MediaTypes: ['CD', 'DVD'],
  Image: medium?.url ?? null,
  ImageName: medium?.url.split('/').at(-1) ?? null,
  Inserted: medium !== null,
  ConnectedVia: medium === null ? 'NotConnected' : 'URI',
  WriteProtected: true,
  Actions: {
    '#VirtualMedia.InsertMedia': { target: `${path}/Actions/VirtualMedia.InsertMedia` },
    '#VirtualMedia.EjectMedia': { target: `${path}/Actions/VirtualMedia.EjectMedia` },
  },
})
