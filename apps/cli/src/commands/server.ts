import { resolve } from 'node:path'
import type { NewServerBody, ServerAnswer } from '@byoi/contract'
import { type Command, Option } from 'commander'
import { type ApiOptions, connect, withApi } from '../api-options.ts'
import { CommandFailed, type Context } from '../context.ts'
import { parseSize } from '../parse-size.ts'
import { printJson, printTable } from '../print.ts'
import { bytesText } from '../progress-line.ts'

interface AddOptions extends ApiOptions {
  bmc: string
  account: string
  disk: string
  diskSize: string
  boot: 'uefi' | 'legacy'
  sectorSize: '512' | '4096'
}

type ListOptions = ApiOptions & { json?: boolean }

export function addServer(program: Command, context: Context): void {
  const server = program.command('server').description('the fleet; for operators')
  const add = server
    .command('add')
    .description(
      'add a server; local: a disk file on the machine of the control plane, the agent as a process',
    )
    .argument('<name>', "the server's name, as a host name")
    .addOption(
      new Option('--bmc <kind>', 'how its power is controlled').choices(['local']).makeOptionMandatory(),
    )
    .option('--account <name>', 'account that it belongs to', 'default')
    .requiredOption('--disk <file>', 'its disk')
    .requiredOption('--size, --disk-size <size>', 'size of the disk, such as 12GiB')
    .addOption(new Option('--boot <mode>', 'firmware').choices(['uefi', 'legacy']).makeOptionMandatory())
    .addOption(
      new Option('--sector-size <bytes>', 'sector size of the disk').choices(['512', '4096']).default('512'),
    )
  withApi(add, '--url').action((name: string, options: AddOptions) => addOne(name, options, context))

  const list = server.command('list').description('all servers').option('--json', 'print them as JSON')
  withApi(list, '--url').action((options: ListOptions) => listAll(options, context))

  const show = server
    .command('show')
    .description('one server')
    .argument('<name>')
    .option('--json', 'print it as JSON')
  withApi(show, '--url').action((name: string, options: ListOptions) => showOne(name, options, context))

  const check = server
    .command('check')
    .description("ask a server's BMC for power and boot device; changes nothing, exit status 1 on problems")
    .argument('<name>')
    .option('--json', 'print what it said as JSON')
  withApi(check, '--url').action((name: string, options: ListOptions) => checkOne(name, options, context))

  const remove = server.command('remove').description('remove a server; its disk is kept').argument('<name>')
  withApi(remove, '--url').action(async (name: string, options: ApiOptions) => {
    await connect(options, context).removeServer(name)
    context.stdout.write(`Removed ${name}.\n`)
  })
}

async function addOne(name: string, options: AddOptions, context: Context): Promise<void> {
  const size = parseSize(options.diskSize)
  const serial = `file-${name}`.slice(0, 128)
  const body: NewServerBody = {
    serviceName: name,
    account: options.account,
    boot: options.boot,
    diskGroups: [{ diskGroupId: 1, disks: [{ serial, size }] }],
    bmc: {
      kind: options.bmc,
      settings: { disk: resolve(options.disk), serial, size, sectorSize: Number(options.sectorSize) },
    },
  }
  await connect(options, context).addServer(body)
  context.stdout.write(`Added ${name}.\n`)
}

async function listAll(options: ListOptions, context: Context): Promise<void> {
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

async function showOne(name: string, options: ListOptions, context: Context): Promise<void> {
  const server = await connect(options, context).showServer(name)
  if (options.json) return printJson(server, context)
  for (const [label, value] of factsOf(server)) context.stdout.write(`${`${label}:`.padEnd(12)} ${value}\n`)
}

async function checkOne(name: string, options: ListOptions, context: Context): Promise<void> {
  const { power, bootDevice, problems } = await connect(options, context).checkServer(name)
  if (options.json) printJson({ power, bootDevice, problems }, context)
  else {
    context.stdout.write(`power:       ${power ?? 'unknown'}\n`)
    context.stdout.write(`boot device: ${bootDevice ?? 'unknown'}\n`)
    for (const problem of problems) context.stderr.write(`problem: ${problem}\n`)
  }
  if (problems.length > 0) throw new CommandFailed(name)
}

const factsOf = (server: ServerAnswer): [string, string][] => [
  ['name', server.serviceName],
  ['account', server.account],
  ['boot', server.boot],
  ['power', server.powerState ?? 'unknown'],
  ['own image', server.ownImage ? 'yes' : 'no'],
  ['created', server.createdAt],
  ['bmc', [server.bmc.kind, ...Object.entries(server.bmc.settings).map((pair) => pair.join('='))].join(' ')],
  ...server.diskGroups.map((group): [string, string] => [
    `disks ${group.diskGroupId}`,
    group.disks.map((disk) => `${disk.serial} ${bytesText(disk.size)}`).join(', '),
  ]),
]
