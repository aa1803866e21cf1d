import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { NetworkConfig } from '@byoi/contract'
import { type Log, sentenceOf } from '../log.ts'
import { carryOut } from './action.ts'
import { type DhcpClient, type Lease, leaseActions, startDhcp } from './dhcp.ts'
import type { LinkPlan } from './network-plan.ts'
import { resolvConf } from './resolv-conf.ts'

export interface LinkOptions {
  /** null: as `planNetwork` takes it. */
  config: NetworkConfig | null
  log: Log
  /** Directory for the DHCP client's own file, and the resolver's configuration. */
  files: { directory: string; resolvConf: string }
}

/** A link that is set up, with the DHCP client that keeps its address. */
export interface Link {
  /** Addresses and where they come from, for the console. */
  describe(): string
  /** Ends the DHCP client; addresses stay. */
  stop(): void
  /** Ends the DHCP client and takes the link apart. */
  takeDown(): Promise<void>
}

/** Carries out a plan. Rejects with one sentence, and leaves nothing of the link, when a step of it fails. */
export async function setUpLink(plan: LinkPlan, options: LinkOptions): Promise<Link> {
  let client: DhcpClient | undefined
  let lease: Lease | undefined
  /** One lease after the other, and none behind the link's end. */
  let taking: Promise<void> = Promise.resolve()
  const link: Link = {
    describe: () => `${plan.name}: ${addressText(plan, lease)}`,
    stop: () => client?.stop(),
    takeDown: async () => {
      client?.stop()
      await taking
      // What was not made cannot be taken away.
      for (const action of plan.tearDown) await carryOut(action).catch(() => undefined)
    },
  }
  const { log, files } = options
  const take = async (given: Lease) => {
    const former = lease
    lease = given
    await applyLease(given, former, plan, options)
  }
  try {
    for (const action of plan.setUp) await carryOut(action)
    await writeFile(files.resolvConf, resolvConf(options.config?.nameservers ?? []))
  } catch (error) {
    await link.takeDown()
    throw error
  }
  if (plan.dhcp) {
    client = startDhcp(plan.link, files.directory, {
      onLease: (given) => {
        taking = taking.then(() => take(given)).catch((error: unknown) => log(sentenceOf(error)))
      },
      onEnd: (why) => log(`DHCP on ${plan.name} has ended: ${why}.`),
    })
  }
  return link
}

async function applyLease(
  lease: Lease,
  former: Lease | undefined,
  { link }: LinkPlan,
  { config, files }: LinkOptions,
): Promise<void> {
  for (const action of leaseActions(lease, former, link, config?.mtu ?? null)) await carryOut(action)
  await writeFile(files.resolvConf, resolvConf([...(config?.nameservers ?? []), ...lease.nameservers]))
}

function addressText({ link }: LinkPlan, lease: Lease | undefined): string {
  const global = (networkInterfaces()[link] ?? []).filter(({ address }) => !address.startsWith('fe80:'))
  const addresses = global.map(({ cidr, address }) => cidr ?? address)
  const from = lease?.server === undefined || lease.server === null ? '' : ` (DHCP of ${lease.server})`
  const gateway = lease?.gateway === undefined || lease.gateway === null ? '' : `, gateway ${lease.gateway}`
  return addresses.length === 0 ? 'no address yet' : `${addresses.join(', ')}${from}${gateway}`
}
