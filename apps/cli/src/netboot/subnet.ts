import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { UsageError } from '../usage-error.ts'

/** An IPv4 network, and where it is on this machine. */
export interface Subnet {
  interface: string
  /** Dotted, as the others. */
  network: string
  mask: string
  /** Addresses for servers: the middle of the network, so that fixed ones have room on both sides. */
  first: string
  last: string
}

/** Of what the operating system tells. */
type Interfaces = Record<string, { address: string; family: string; cidr: string | null }[] | undefined>

/**
 * The network in which servers boot: that of the interface, of the CIDR block, or else of the interface that has the address where the
 * provisioning listener is seen. Throws UsageError.
 */
export function findSubnet(
  {
    interfaceName,
    cidr,
    host,
  }: { interfaceName?: string | undefined; cidr?: string | undefined; host: string },
  interfaces: Interfaces = networkInterfaces(),
): Subnet {
  if (cidr !== undefined) {
    if (interfaceName === undefined)
      throw new UsageError('--subnet needs --interface, the one of the DHCP server.')
    return subnetOf(interfaceName, cidr)
  }
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    const ours = addresses.filter(({ family }) => family === 'IPv4')
    const found = ours.find(({ address }) =>
      interfaceName === undefined ? address === host : name === interfaceName,
    )
    if (found !== undefined && found.cidr !== null) return subnetOf(name, found.cidr)
  }
  throw new UsageError(
    interfaceName === undefined
      ? `No interface of this machine has a link and the address ${host} of the provisioning URL: give --interface and --subnet.`
      : `This machine has no interface ${interfaceName} with a link and an IPv4 address: give --subnet too.`,
  )
}

function subnetOf(name: string, cidr: string): Subnet {
  if (!/^[A-Za-z0-9._-]{1,15}$/.test(name)) throw new UsageError(`"${name}" is no name of an interface.`)
  const [address = '', prefix = ''] = cidr.split('/')
  const bits = /^\d{1,2}$/.test(prefix) ? Number(prefix) : 0
  if (!isIPv4(address) || bits < 8 || bits > 29) {
    throw new UsageError(
      `"${cidr}" is no network for servers; write one as 10.77.0.0/24, of at least 8 addresses.`,
    )
  }
  const size = 2 ** (32 - bits)
  const network = Math.floor(numberOf(address) / size) * size
  return {
    interface: name,
    network: textOf(network),
    mask: textOf(2 ** 32 - size),
    first: textOf(network + Math.floor(size * 0.4)),
    last: textOf(network + Math.floor(size * 0.8)),
  }
}

const numberOf = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)

const textOf = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
