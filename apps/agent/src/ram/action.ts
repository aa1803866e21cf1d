import { writeFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { run } from './run.ts'

/** One thing to do to the network: a command to run, or a setting of proc or sysfs to write. */
export type Action = { argv: readonly string[] } | { write: string; value: string }

/** Rejects with one sentence when the command fails or the setting cannot be written. */
export async function carryOut(action: Action): Promise<void> {
  if ('argv' in action) {
    await run(action.argv)
    return
  }
  await writeFile(action.write, action.value).catch((error: NodeJS.ErrnoException) => {
    // A kernel without IPv6 has no settings for it.
    if (error.code !== 'ENOENT') throw error
  })
}

/** ip(8) of iproute2. */
export const ip = (...args: string[]): Action => ({ argv: ['ip', ...args] })

/** `address` with its prefix length. The broadcast address is the network's last. */
export const addAddress = (address: string, link: string): Action =>
  isIPv4(address.split('/')[0] ?? '')
    ? ip('addr', 'replace', address, 'broadcast', '+', 'dev', link)
    : ip('-6', 'addr', 'replace', address, 'dev', link)

/** Many providers' gateways are outside of the server's own network, hence `onlink`. */
export const defaultRoute = (gateway: string, link: string): Action =>
  ip(isIPv4(gateway) ? '-4' : '-6', 'route', 'replace', 'default', 'via', gateway, 'dev', link, 'onlink')

/** Documentation/networking/ip-sysctl.rst, as all settings of IPv6 here. */
const ipv6Setting = (link: string, name: string, value: '0' | '1'): Action => ({
  write: `/proc/sys/net/ipv6/conf/${link}/${name}`,
  value,
})

export const disableIpv6 = (link: string, value: '0' | '1'): Action =>
  ipv6Setting(link, 'disable_ipv6', value)

/** Whether routers may give the link addresses and routes. */
export const routerAdvertisements = (link: string, taken: boolean): Action[] =>
  ['accept_ra', 'autoconf'].map((name) => ipv6Setting(link, name, taken ? '1' : '0'))
