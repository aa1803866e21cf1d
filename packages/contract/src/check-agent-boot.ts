import { isIP } from 'node:net'
import { type AgentBoot, type NetworkConfig } from './agent-boot.ts'
import { badField } from './bad-parameter.ts'

/**
 * What a schema cannot say of `agentBoot`: that its parts fit together and to the server's firmware. Throws `BadParameter` naming
 * the member at fault.
 */
export function checkAgentBoot(agentBoot: AgentBoot, boot: 'uefi' | 'legacy'): void {
  const { way, macs, kernelWords, network } = agentBoot
  if (way === 'uefi-http' && boot === 'legacy') {
    throw badField('agentBoot.way', 'be netboot or virtual-media for a server with legacy firmware')
  }
  if (way !== 'virtual-media' && macs.length === 0) {
    throw badField('agentBoot.macs', `name the ports that the server boots from, for the way ${way}`)
  }
  if (new Set(macs).size < macs.length) throw badField('agentBoot.macs', 'name each port once')
  // iPXE and GRUB would expand or cut other characters on the way to the kernel.
  if (!/^[A-Za-z0-9_.,:;=/@%+-]*(?: +[A-Za-z0-9_.,:;=/@%+-]+)*$/.test(kernelWords)) {
    throw badField('agentBoot.kernelWords', 'be words of letters, digits and _ . , : ; = / @ % + -')
  }
  if (network !== null) checkNetwork(network)
}

/** The same for `agentBoot.network`. */
export function checkNetwork(network: NetworkConfig): void {
  const { ports, bond, ipv4, ipv6, nameservers } = network
  const field = (name: string) => `agentBoot.network.${name}`
  if (new Set(ports).size < ports.length) throw badField(field('ports'), 'name each port once')
  if (ports.length > 1 && bond === null)
    throw badField(field('ports'), 'name one port where there is no bond')
  if (ports.length === 0 && bond !== null) throw badField(field('ports'), 'name the ports of the bond')
  if (ipv4.method === 'none' && ipv6.method === 'none') {
    throw badField(field('ipv4'), 'have a method other than none, or ipv6 must')
  }
  if (ipv4.method === 'static') checkStatic(ipv4, 4, field('ipv4'))
  if (ipv6.method === 'static') checkStatic(ipv6, 6, field('ipv6'))
  if (nameservers.some((each) => isIP(each) === 0)) throw badField(field('nameservers'), 'be IP addresses')
}

function checkStatic(
  { address, gateway }: { address: string; gateway: string | null },
  family: 4 | 6,
  field: string,
): void {
  const [ip = '', prefix = '', ...rest] = address.split('/')
  const bits = /^[0-9]{1,3}$/.test(prefix) ? Number(prefix) : 0
  const good = isIP(ip) === family && rest.length === 0 && bits >= 1 && bits <= (family === 4 ? 32 : 128)
  if (!good) throw badField(`${field}.address`, `be an IPv${family} address with its prefix length`)
  if (gateway !== null && isIP(gateway) !== family) {
    throw badField(`${field}.gateway`, `be an IPv${family} address or null`)
  }
}
