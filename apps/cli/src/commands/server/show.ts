import type { AgentBoot, DiskFacts, ServerAnswer, ServerIdentity } from '@byoi/contract'
import type { Command } from 'commander'
import { type ApiOptions, connect, withApi } from '../../api-options.ts'
import { CommandFailed, type Context } from '../../context.ts'
import { printJson, printTable } from '../../print.ts'
import { bytesText } from '../../progress-line.ts'

type LookOptions = ApiOptions & { json?: boolean }

export function addLooks(server: Command, context: Context): void {
  const list = server.command('list').description('all servers').option('--json', 'print them as JSON')
  withApi(list, '--url').action((options: LookOptions) => listAll(options, context))

  const show = server
    .command('show')
    .description('one server: its BMC, how its agent comes, its disks with their groups')
    .argument('<name>')
    .option('--json', 'print it as JSON')
  withApi(show, '--url').action((name: string, options: LookOptions) => showOne(name, options, context))

  const check = server
    .command('check')
    .description(
      "ask a server's BMC what it is, for power and boot device; changes nothing, exit status 1 on problems",
    )
    .argument('<name>')
    .option('--json', 'print what it said as JSON')
  withApi(check, '--url').action((name: string, options: LookOptions) => checkOne(name, options, context))
}

async function listAll(options: LookOptions, context: Context): Promise<void> {
  const servers = await connect(options, context).listServers()
  if (options.json) return printJson(servers, context)
  const rows = servers.map((each) => [
    each.serviceName,
    each.account,
    each.boot,
    each.bmc.kind,
    each.powerState ?? 'unknown',
    each.diskGroups.map((group) => bytesText(group.size)).join(', '),
  ])
  printTable([['NAME', 'ACCOUNT', 'BOOT', 'BMC', 'POWER', 'DISKS'], ...rows], context)
}

async function showOne(name: string, options: LookOptions, context: Context): Promise<void> {
  const server = await connect(options, context).showServer(name)
  if (options.json) return printJson(server, context)
  printServer(server, context)
}

/** A server for a person. */
export function printServer(server: ServerAnswer, context: Context): void {
  for (const [label, value] of factsOf(server)) context.stdout.write(`${`${label}:`.padEnd(12)} ${value}\n`)
}

async function checkOne(name: string, options: LookOptions, context: Context): Promise<void> {
  const found = await connect(options, context).checkServer(name)
  const { identity, power, bootDevice, problems } = found
  if (options.json) printJson(found, context)
  else {
    if (identity !== null) context.stdout.write(`identity:    ${identityText(identity)}\n`)
    context.stdout.write(`power:       ${power ?? 'unknown'}\n`)
    context.stdout.write(`boot device: ${bootDevice ?? 'none set'}\n`)
    for (const problem of problems) context.stderr.write(`problem: ${problem}\n`)
  }
  if (problems.length > 0) throw new CommandFailed(name)
}

const factsOf = (server: ServerAnswer): [string, string][] => {
  const { bmc, agentBoot, found } = server
  const shown = Object.entries(bmc.settings).filter(([name]) => name !== 'spki')
  return [
    ['name', server.serviceName],
    ['account', server.account],
    ['boot', server.boot],
    ['power', server.powerState ?? 'unknown'],
    ['own image', server.ownImage ? 'yes' : 'no'],
    ['created', server.createdAt],
    ['bmc', [bmc.kind, ...shown.map((pair) => pair.join('='))].join(' ')],
    ...(bmc.identity === null ? [] : [['identity', identityText(bmc.identity)] as [string, string]]),
    ...(bmc.settings['spki'] === undefined
      ? []
      : [['pin', String(bmc.settings['spki'])] as [string, string]]),
    ...(agentBoot === null ? [] : [['agent', agentBootText(agentBoot)] as [string, string]]),
    ...(server.rescueSshKey === null ? [] : [['rescue key', server.rescueSshKey] as [string, string]]),
    ...(server.efiBootloaderPath === null ? [] : [['loader', server.efiBootloaderPath] as [string, string]]),
    ...groupsOf(server),
    ...(found === null ? [] : foundOf(found, server)),
  ]
}

const identityText = ({ vendor, model, serial, firmware }: ServerIdentity): string =>
  [
    [vendor, model].filter((text) => text !== null).join(' ') || 'unknown',
    serial === null ? null : `serial ${serial}`,
    firmware === null ? null : `BMC firmware ${firmware}`,
  ]
    .filter((text) => text !== null)
    .join(', ')

const agentBootText = ({ way, macs, kernelWords, network }: AgentBoot): string =>
  [
    way,
    ...macs,
    ...(kernelWords === '' ? [] : [kernelWords]),
    ...(network === null ? [] : ['own network']),
  ].join(' ')

const groupsOf = ({ diskGroups }: ServerAnswer): [string, string][] =>
  diskGroups.length === 0
    ? [['disks', 'none yet: the agent finds them at its first start (byoi server inspect)']]
    : diskGroups.map((group): [string, string] => [
        `disks ${group.diskGroupId}`,
        group.disks.map((disk) => `${disk.serial} ${bytesText(disk.size)}`).join(', '),
      ])

function foundOf(
  { at, machine, disks }: NonNullable<ServerAnswer['found']>,
  { diskGroups }: ServerAnswer,
): [string, string][] {
  const groupOf = (disk: DiskFacts) =>
    diskGroups.find((group) =>
      group.disks.some((each) => each.serial === disk.serial && each.size === disk.size),
    )
  return [
    ['found', at],
    ...(machine === null
      ? []
      : ([
          [
            ' machine',
            `${machine.vendor} ${machine.model}, serial ${machine.serial || 'unknown'}, ${machine.cpus} CPUs, ${bytesText(machine.memory)}, ${machine.firmware}${machine.secureBoot ? ' with Secure Boot' : ''}`,
          ],
          ...machine.nics.map((nic) => [
            ' port',
            `${nic.name} ${nic.mac} ${nic.driver}, ${nic.carrier ? (nic.speed === null ? 'link' : `${nic.speed} Mbit/s`) : 'no link'}`,
          ]),
        ] as [string, string][])),
    ...disks.map((disk): [string, string] => [
      ' disk',
      `${disk.path} ${disk.serial || 'no serial'} ${bytesText(disk.size)} ${disk.transport}, sectors of ${disk.sectorSize} bytes, ${groupText(groupOf(disk)?.diskGroupId)}`,
    ]),
  ]
}

const groupText = (id: number | undefined): string => (id === undefined ? 'in no group' : `group ${id}`)
