import { type BmcIdentity } from '../bmc.ts'
import { at, linkAt, textAt } from './json.ts'
import { type KnownServer, vendorOf } from './server.ts'

/** What the BMC tells of itself and of the server, and what an operator should put right. */
export async function identify(server: KnownServer, usesIpmi: boolean): Promise<BmcIdentity> {
  const { client, budget, managers } = server
  const { json } = server.resource
  const shown = (text: string | null) => (text === null ? null : client.clean(text))
  return {
    vendor: shown(vendorOf(await client.root(budget), json)),
    model: shown(textAt(json, 'Model')),
    firmware: shown(textAt(managers[0]?.json, 'FirmwareVersion')),
    serial: shown(textAt(json, 'SerialNumber')),
    weaknesses: [
      ...(at(json, 'Oem', 'Supermicro', 'SysLockdown') === true ? [lockdown] : []),
      ...((await hasIpmi(server)) && !usesIpmi ? [unusedIpmi] : []),
    ],
  }
}

const lockdown = "The server is in lockdown mode, which refuses every change: end it in the BMC's settings."
const unusedIpmi =
  'IPMI over LAN is on though byoi does not use it for this server: turn it off, because anybody who reaches it can ask for ' +
  'hashes of its passwords (CVE-2013-4786).'

/** ManagerNetworkProtocol. A BMC that does not show it has no weakness that could be told from it. */
async function hasIpmi({ client, budget, managers }: KnownServer): Promise<boolean> {
  for (const { json } of managers) {
    const link = linkAt(json, 'NetworkProtocol')
    const answer = link === null ? null : await client.find(link, budget)
    if (at(answer?.json, 'IPMI', 'ProtocolEnabled') === true) return true
  }
  return false
}
