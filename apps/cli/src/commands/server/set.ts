import type { AgentBoot, ServerAnswer, ServerChangeBody } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../../api-options.ts'
import { givenPassword, readBmcPassword } from '../../bmc-password.ts'
import type { Context } from '../../context.ts'
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

interface SetOptions extends ApiOptions, BmcOptions, AgentOptions, DiskOptions {
  askPassword?: boolean
  foundDisks?: boolean
}

export function addSet(server: Command, context: Context): void {
  const set = server
    .command('set')
    .description(
      'change what is known of a server that has a BMC, after the BMC was tried; while a deployment is on hold only its password and pin',
    )
    .argument('<name>')
    .option('--ask-password', "ask for the BMC's new password")
    .option('--disk-size <size>', 'size of the target disk in bytes, exactly')
    .option('--found-disks', 'forget the disks that are recorded, and take those that the agent finds')
  withApi(withServerOptions(set), '--url').action((name: string, options: SetOptions) =>
    setOne(name, options, context),
  )
}

async function setOne(name: string, options: SetOptions, context: Context): Promise<void> {
  const client = connect(options, context)
  const server = await client.showServer(name)
  const body = await changeOf(server, options, context)
  if (Object.keys(body).length === 0) throw new UsageError('Say what is to change; --help shows what can.')
  await client.setServer(name, body)
  context.stdout.write(`Changed ${name}.\n`)
  if (options.bmcFingerprint === 'new') {
    const { bmc } = await client.showServer(name)
    context.stdout.write(`The key of its BMC's certificate is pinned: ${bmc.settings['spki']}\n`)
  }
}

async function changeOf(
  server: ServerAnswer,
  options: SetOptions,
  context: Context,
): Promise<ServerChangeBody> {
  const settings = newSettings(server, options)
  const password = options.askPassword
    ? await readBmcPassword(options, context)
    : givenPassword(options, context)
  const agentBoot = newAgentBoot(server, options)
  const diskGroups = options.foundDisks ? [] : diskGroupsOf(options)
  const bmc = {
    ...(settings === undefined ? {} : { settings }),
    ...(password === undefined ? {} : { password }),
  }
  return {
    ...(Object.keys(bmc).length === 0 ? {} : { bmc }),
    ...(agentBoot === undefined ? {} : { agentBoot }),
    ...(diskGroups === undefined ? {} : { diskGroups }),
  }
}

/** All of them, as the API wants them. Without its pin a BMC is pinned anew. */
function newSettings(
  { bmc }: ServerAnswer,
  options: SetOptions,
): ServerAnswer['bmc']['settings'] | undefined {
  const given = bmcSettings(bmc.kind, options)
  const repin = options.bmcFingerprint === 'new'
  if (Object.keys(given).length === 0 && !repin) return undefined
  const { spki, ...kept } = bmc.settings
  return { ...kept, ...(spki === undefined || repin ? {} : { spki }), ...given }
}

function newAgentBoot(server: ServerAnswer, options: SetOptions): AgentBoot | undefined {
  const given = agentBootOf(options)
  if (given === undefined) return undefined
  return { way: 'netboot', macs: [], kernelWords: '', network: null, ...server.agentBoot, ...given }
}
