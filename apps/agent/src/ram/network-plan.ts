import type { NetworkConfig, NicFacts } from '@byoi/contract'
import { type Action, addAddress, defaultRoute, disableIpv6, ip, routerAdvertisements } from './action.ts'

/** A way onto the network. */
export interface LinkPlan {
  /** For the console: `VLAN 5 on a bond of eth0 and eth1`. */
  name: string
  /** One of these ports must have a carrier. */
  ports: string[]
  /** The interface that gets the addresses. */
  link: string
  /** Makes the link of its ports and gives it what is known of its addresses. */
  setUp: Action[]
  dhcp: boolean
  /** Takes addresses and made links away again; ports stay up, since a switch that sees one come up may block it for half a minute. */
  tearDown: Action[]
}

/** Used where a server's record says nothing. */
const anyNetwork: NetworkConfig = {
  ports: [],
  bond: null,
  vlan: null,
  mtu: null,
  ipv4: { method: 'dhcp' },
  ipv6: { method: 'slaac' },
  nameservers: [],
}

/** The bonding driver makes a bond0 of its own when it is loaded. */
const bondName = 'byoi-bond'
const vlanName = 'byoi-vlan'

/**
 * The ways onto the network, the likeliest first: the bond that is asked for, of those of its ports that are there, or each port that may
 * be it. Throws an Error with one sentence when none is there.
 */
export function planNetwork(config: NetworkConfig | null, found: readonly NicFacts[]): LinkPlan[] {
  const network = config ?? anyNetwork
  const ports = portsOf(network, found)
  if (network.bond !== null) return [bondPlan(network, network.bond, ports)]
  return ports.map((port) => planOn(network, port.name, [port.name], [], []))
}

/** Brings the ports up without letting them take addresses: a carrier shows only on a port that is up. */
export const portUp = (port: string): Action[] => [disableIpv6(port, '1'), ip('link', 'set', port, 'up')]

function portsOf({ ports: wanted }: NetworkConfig, found: readonly NicFacts[]): NicFacts[] {
  if (found.length === 0) throw new Error('The server has no Ethernet port that this kernel knows.')
  if (wanted.length === 0) return found.toSorted((a, b) => unlikely(a) - unlikely(b))
  const there = wanted.flatMap((mac) => found.filter((port) => port.mac === mac))
  if (there.length > 0) return there
  const macs = found.map(({ mac }) => mac).join(', ')
  throw new Error(`The server's record names ${wanted.join(', ')}, but its ports are ${macs}.`)
}

/** Ports on USB lead to the server's own BMC, which gives out addresses there. */
const unlikely = ({ driver }: NicFacts): number => (/^(?:cdc_|rndis_|usb)/.test(driver) ? 1 : 0)

function bondPlan(network: NetworkConfig, mode: string, ports: NicFacts[]): LinkPlan {
  const names = ports.map(({ name }) => name)
  const made = [
    ip('link', 'add', bondName, 'type', 'bond', 'mode', mode, 'miimon', '100'),
    // The driver takes a port only while it is down, and brings it up.
    ...names.flatMap((name) => [
      ip('link', 'set', name, 'down'),
      ip('link', 'set', name, 'master', bondName),
    ]),
  ]
  const name = `a bond (${mode}) of ${names.join(' and ')}`
  return {
    ...planOn(network, bondName, names, made, [ip('link', 'del', bondName)]),
    name: onVlan(network, name),
  }
}

function planOn(
  network: NetworkConfig,
  base: string,
  ports: string[],
  made: Action[],
  unmade: Action[],
): LinkPlan {
  const { vlan } = network
  const link = vlan === null ? base : vlanName
  const makeVlan =
    vlan === null
      ? []
      : [
          // What is not tagged is another network.
          disableIpv6(base, '1'),
          ...mtu(network, base),
          ip('link', 'set', base, 'up'),
          ip('link', 'add', 'link', base, 'name', vlanName, 'type', 'vlan', 'id', String(vlan)),
        ]
  return {
    name: onVlan(network, base),
    ports,
    link,
    setUp: [
      ...made,
      ...makeVlan,
      ...ipv6Settings(network, link),
      ...mtu(network, link),
      ip('link', 'set', link, 'up'),
      ...addresses(network, link),
    ],
    dhcp: network.ipv4.method === 'dhcp',
    tearDown: [
      ip('addr', 'flush', 'dev', link),
      disableIpv6(link, '1'),
      ...(vlan === null ? [] : [ip('link', 'del', vlanName)]),
      ...unmade,
    ],
  }
}

const onVlan = ({ vlan }: NetworkConfig, name: string): string =>
  vlan === null ? name : `VLAN ${vlan} on ${name}`

const mtu = ({ mtu: bytes }: NetworkConfig, link: string): Action[] =>
  bytes === null ? [] : [ip('link', 'set', link, 'mtu', String(bytes))]

/** Before the link comes up: then the kernel asks for a router by itself. */
function ipv6Settings({ ipv6 }: NetworkConfig, link: string): Action[] {
  if (ipv6.method === 'none') return [disableIpv6(link, '1')]
  return [...routerAdvertisements(link, ipv6.method === 'slaac'), disableIpv6(link, '0')]
}

function addresses({ ipv4, ipv6 }: NetworkConfig, link: string): Action[] {
  return [ipv4, ipv6].flatMap((each) => {
    if (each.method !== 'static') return []
    const { address, gateway } = each
    return [addAddress(address, link), ...(gateway === null ? [] : [defaultRoute(gateway, link)])]
  })
}
