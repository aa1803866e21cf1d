import { type Static, type TSchema, Type } from 'typebox'

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** OVHcloud's `dedicated.server.ByoiStatus`: the answer of `GET .../bringYourOwnImage`. */
export const ByoiStatus = Type.Object({
  checksum: nullable(Type.String({ description: 'Last checksum' })),
  message: nullable(Type.String({ description: 'Last message' })),
  servername: nullable(Type.String({ description: 'Server name' })),
  status: nullable(Type.Enum(['doing', 'done', 'error'], { description: 'Status' })),
})
export type ByoiStatus = Static<typeof ByoiStatus>

/** OVHcloud's `dedicated.server.DedicatedWithIAM`; what byoi does not know is an explicit null. */
export interface DedicatedServer {
  availabilityZone: string
  bootId: number | null
  bootScript: string | null
  commercialRange: string | null
  datacenter: string | null
  efiBootloaderPath: string | null
  iam: null
  ip: string | null
  linkSpeed: number | null
  monitoring: boolean
  name: string
  newUpgradeSystem: boolean
  noIntervention: boolean
  os: string
  powerState: 'poweron' | 'poweroff' | null
  professionalUse: boolean
  rack: string | null
  region: string
  rescueMail: string | null
  rescueSshKey: string | null
  reverse: string | null
  rootDevice: string | null
  serverId: number
  state: 'error' | 'hacked' | 'hackedBlocked' | 'ok'
  supportLevel: 'critical' | 'fastpath' | 'gs' | 'pro'
}

/** Body of `PUT /dedicated/server/{serviceName}`, as far as it changes anything here. */
export type DedicatedChange = Partial<Pick<DedicatedServer, 'rescueSshKey' | 'efiBootloaderPath'>>
