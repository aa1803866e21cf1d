import { type Static, type TSchema, Type } from 'typebox'

const closed = { additionalProperties: false }
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** Lower case, colons. */
export const macPattern = '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$'
const Mac = Type.String({ pattern: macPattern })
/** An address with its prefix length, or a gateway; that it is one is checked by `checkNetwork`. */
const Address = Type.String({ maxLength: 64, pattern: '^[0-9a-fA-F:./]+$' })

const Static4Or6 = Type.Object(
  {
    method: Type.Literal('static'),
    /** `10.0.0.5/24` or `fd00::5/64`. */
    address: Address,
    gateway: nullable(Address),
  },
  closed,
)

/** How the RAM system gets onto the network. A server without one uses DHCP and SLAAC on the first port with a carrier. */
export const NetworkConfig = Type.Object(
  {
    /** MAC addresses of the ports to use; several only with `bond`. Empty: the first port with a carrier that gets an address. */
    ports: Type.Array(Mac, { maxItems: 8 }),
    /** Modes of the Linux bonding driver. */
    bond: nullable(Type.Enum(['802.3ad', 'active-backup'])),
    /** IEEE 802.1Q VLAN id on top of the port or bond. */
    vlan: nullable(Type.Integer({ minimum: 1, maximum: 4094 })),
    /** Bytes. */
    mtu: nullable(Type.Integer({ minimum: 1280, maximum: 9216 })),
    ipv4: Type.Union([
      Type.Object({ method: Type.Literal('dhcp') }, closed),
      Type.Object({ method: Type.Literal('none') }, closed),
      Static4Or6,
    ]),
    ipv6: Type.Union([
      Type.Object({ method: Type.Literal('slaac') }, closed),
      Type.Object({ method: Type.Literal('none') }, closed),
      Static4Or6,
    ]),
    /** Beside those that DHCP names. */
    nameservers: Type.Array(Address, { maxItems: 4 }),
  },
  closed,
)
export type NetworkConfig = Static<typeof NetworkConfig>

/**
 * How the agent gets into a server's RAM. `netboot`: iPXE over HTTP from the provisioning listener. `virtual-media`: the BMC shows
 * an ISO to the server. `uefi-http`: the firmware itself fetches that ISO over HTTP (UEFI 2.10, section 24.7).
 */
export const agentBootWays = ['netboot', 'virtual-media', 'uefi-http'] as const

export const AgentBoot = Type.Object(
  {
    way: Type.Enum([...agentBootWays]),
    /** Ports that the server may boot from over the network; needed for `netboot` and `uefi-http`. */
    macs: Type.Array(Mac, { maxItems: 16 }),
    /** More words for the agent's kernel, such as `console=ttyS1,115200`; '' for the usual serial ports. */
    kernelWords: Type.String({ maxLength: 256, pattern: String.raw`^[\x21-\x7e ]*$` }),
    network: nullable(NetworkConfig),
  },
  closed,
)
export type AgentBoot = Static<typeof AgentBoot>
