import { resolve } from 'node:path'
import type { AgentBoot, NewServerBody } from '@byoi/contract'
import { type Command, Option } from 'commander'
import { type ApiOptions, connect, withApi } from '../../api-options.ts'
import { readBmcPassword } from '../../bmc-password.ts'
import type { Context } from '../../context.ts'
import { parseSize } from '../../parse-size.ts'
import {
  agentBootOf,
  type AgentOptions,
  type BmcOptions,
  bmcSettings,
  diskGroupsOf,
  type DiskOptions,
  withServerOptions,
} from '../../server-options.ts'
import { UsageError } from '../../usage-error.ts'

interface AddOptions extends ApiOptions, BmcOptions, AgentOptions, DiskOptions {
  bmc: 'local' | 'redfish' | 'ipmi'
  account: string
  boot: 'uefi' | 'legacy'
  disk?: string
  sectorSize: '512' | '4096'
}

export function addAdd(server: Command, context: Context): void {
  const add = server
    .command('add')
    .description(
      "add a server; its BMC is tried first. local: a disk file on the control plane's machine, the agent as a process",
    )
    .argument('<name>', "the server's name, as a host name")
    .addOption(
      new Option('--bmc <kind>', 'how its power is controlled')
        .choices(['local', 'redfish', 'ipmi'])
        .makeOptionMandatory(),
    )
    .option('--account <name>', 'account that it belongs to', 'default')
    .addOption(new Option('--boot <mode>', 'firmware').choices(['uefi', 'legacy']).makeOptionMandatory())
    .option('--disk <file>', 'local: its disk')
    .option('--size, --disk-size <size>', 'size of the disk, such as 12GiB; of a real one in bytes, exactly')
    .addOption(
      new Option('--sector-size <bytes>', 'local: sector size of the disk')
        .choices(['512', '4096'])
        .default('512'),
    )
  withApi(withServerOptions(add), '--url').action((name: string, options: AddOptions) =>
    addOne(name, options, context),
  )
}

async function addOne(name: string, options: AddOptions, context: Context): Promise<void> {
  const { account, boot } = options
  const described = options.bmc === 'local' ? localServer(name, options) : await realServer(options, context)
  const client = connect(options, context)
  await client.addServer({ serviceName: name, account, boot, ...described })
  context.stdout.write(`Added ${name}.\n`)
  if (options.bmc === 'redfish' && options.bmcFingerprint === undefined) {
    const { bmc } = await client.showServer(name)
    context.stdout.write(`The key of its BMC's certificate is pinned: ${bmc.settings['spki']}\n`)
  }
}

type Described = Pick<NewServerBody, 'diskGroups' | 'bmc' | 'agentBoot'>

function localServer(name: string, options: AddOptions): Described {
  const { disk, diskSize, sectorSize } = options
  if (disk === undefined || diskSize === undefined) {
    throw new UsageError("--bmc local needs '--disk <file>' and '--size <size>'.")
  }
  const size = parseSize(diskSize)
  const serial = `file-${name}`.slice(0, 128)
  const settings = { disk: resolve(disk), serial, size, sectorSize: Number(sectorSize) }
  return { diskGroups: [{ diskGroupId: 1, disks: [{ serial, size }] }], bmc: { kind: 'local', settings } }
}

async function realServer(options: AddOptions, context: Context): Promise<Described> {
  const { bmc: kind, bmcAddress, bmcUser } = options
  if (bmcAddress === undefined || bmcUser === undefined) {
    throw new UsageError(`--bmc ${kind} needs '--bmc-address <address>' and '--bmc-user <name>'.`)
  }
  const agentBoot = wholeAgentBoot(options)
  const settings = bmcSettings(kind, options)
  return {
    diskGroups: diskGroupsOf(options) ?? [],
    agentBoot,
    bmc: { kind, settings, password: await readBmcPassword(options, context) },
  }
}

function wholeAgentBoot(options: AgentOptions): AgentBoot {
  const { way, ...given } = agentBootOf(options) ?? {}
  if (way === undefined) throw new UsageError("A server with a BMC needs '--agent-boot <way>'.")
  return { way, macs: [], kernelWords: '', network: null, ...given }
}
