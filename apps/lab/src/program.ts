import { resolve } from 'node:path'
import { type Firmware } from '@byoi/bmc'
import { Command, InvalidArgumentError, Option } from 'commander'
import { takeDown } from './commands/down.ts'
import { labStatus, type LabStatus } from './commands/status.ts'
import { up } from './commands/up.ts'
import { type AgentWay, agentWays, type BmcKind, bmcKinds } from './lab-file.ts'
import { type CdBus, cdBuses, type DiskBus, diskBuses } from './server-plan.ts'
import { nextSteps } from './next-steps.ts'
import { labTools } from './tools.ts'

export interface LabContext {
  /** Where the lab is when nobody says so. */
  folder: string
  path: string
  out: (text: string) => void
  progress: (line: string) => void
}

interface UpFlags {
  data: string
  servers: number
  boot: Firmware
  memory: number
  processors: number
  flavour?: 'cloud' | 'generic'
  bmc: BmcKind
  way: AgentWay
  secureBoot: boolean
  diskSize: number
  sectorSize: '512' | '4096'
  bus: DiskBus
  cd: CdBus
  ramdisk?: string
  account: string
  kvm: boolean
}

/** The command line of the lab. Errors are thrown. */
export function makeProgram(context: LabContext): Command {
  const program = new Command('byoi lab')
    .description('virtual dedicated servers: QEMU with a BMC that speaks Redfish and IPMI')
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
  addUp(program, context)
  data(program.command('status').description('what runs in the lab'), context)
    .option('--json', 'print it as JSON')
    .action(async (options: { data: string; json?: boolean }) => {
      const status = await labStatus(resolve(options.data))
      context.out(options.json === true ? `${JSON.stringify(status, null, 2)}\n` : table(status))
    })
  program
    .command('tools')
    .description('what a lab needs on this machine, by command or file, each with its Debian package (JSON)')
    .action(() => context.out(`${JSON.stringify(labTools)}\n`))
  data(program.command('down').description('end everything and remove the lab'), context)
    .option('--keep', 'keep disks, logs and the state of the control plane')
    .action(async (options: { data: string; keep?: boolean }) => {
      await takeDown(resolve(options.data), { keep: options.keep ?? false })
    })
  return program
}

const data = (command: Command, context: LabContext): Command =>
  command.option('--data <dir>', "the lab's folder", context.folder)

function addUp(program: Command, context: LabContext): void {
  const choice = (flags: string, what: string, values: readonly string[], usual: string) =>
    new Option(flags, what).choices([...values]).default(usual)
  data(
    program.command('up').description('add servers to the lab, which is begun where there is none'),
    context,
  )
    .option('--servers <n>', 'how many', count, 1)
    .addOption(choice('--boot <mode>', 'firmware', ['uefi', 'legacy'], 'uefi'))
    .option('--secure-boot', "verify what is booted with Microsoft's keys; UEFI with virtual media", false)
    .option('--memory <MiB>', 'RAM of each', count, 1536)
    .option('--processors <n>', 'threads of each', count, 1)
    .addOption(choice('--bmc <kind>', 'how byoi calls the BMC', bmcKinds, 'redfish'))
    .addOption(choice('--way <way>', "how byoi's agent gets into RAM", agentWays, 'netboot'))
    .addOption(choice('--bus <bus>', 'of the disks', diskBuses, 'virtio'))
    .addOption(new Option('--disk-size <size>', 'of the first disk').default(8 * gib, '8GiB').argParser(size))
    .addOption(choice('--sector-size <bytes>', 'of the disks', ['512', '4096'], '512'))
    .addOption(choice('--cd <bus>', 'of the virtual CD', cdBuses, 'ide'))
    .addOption(
      new Option(
        '--flavour <flavour>',
        'ramdisk of a new lab (default: cloud; generic with --bus sata)',
      ).choices(['cloud', 'generic']),
    )
    .option('--ramdisk <dir>', 'what byoi ramdisk build made, for a new lab (default: built)')
    .option('--account <name>', 'account that the servers belong to', 'lab')
    .option('--kvm', 'run on the processor itself instead of emulating one', false)
    .action(async (flags: UpFlags) => {
      const problem = contradiction(flags)
      if (problem !== null) throw program.error(`error: ${problem}`)
      const { data: folder, boot, memory, sectorSize, ramdisk, ...rest } = flags
      const lab = await up(
        {
          ...rest,
          folder: resolve(folder),
          firmware: boot,
          memoryMiB: memory,
          sectorSize: sectorSize === '4096' ? 4096 : 512,
          flavour: flags.flavour ?? (flags.bus === 'sata' ? 'generic' : 'cloud'),
          ramdisk: ramdisk === undefined ? undefined : resolve(ramdisk),
          path: context.path,
        },
        context.progress,
      )
      context.out(nextSteps(resolve(folder), lab))
    })
}

function contradiction(flags: UpFlags): string | null {
  if (flags.secureBoot && flags.boot !== 'uefi') return '--secure-boot needs --boot uefi'
  if (flags.secureBoot && flags.way !== 'virtual-media')
    return '--secure-boot needs --way virtual-media: iPXE is not signed'
  if (flags.bmc === 'ipmi' && flags.way === 'virtual-media')
    return '--way virtual-media needs --bmc redfish: IPMI has none'
  if (flags.bus === 'sata' && flags.sectorSize === '4096')
    return '--sector-size 4096 needs --bus virtio or nvme'
  return null
}

const gib = 1024 ** 3

function count(text: string): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new InvalidArgumentError('Write a whole number above 0.')
  return Number(text)
}

function size(text: string): number {
  const [, digits, unit] = /^([1-9][0-9]{0,5})(MiB|GiB)$/.exec(text) ?? []
  if (digits === undefined) throw new InvalidArgumentError('Write a size as 512MiB or 8GiB.')
  return Number(digits) * (unit === 'GiB' ? gib : 1024 ** 2)
}

function table({ control, servers }: LabStatus): string {
  const rows = servers.map(({ plan, bmc, way, machine }) => [
    plan.name,
    machine === null ? 'its supervisor has ended' : machine.power,
    plan.firmware,
    way,
    `https://127.0.0.1:${plan.ports.redfish}${bmc === 'redfish' ? ' *' : ''}`,
    `127.0.0.1:${plan.ports.ipmi}${bmc === 'ipmi' ? ' *' : ''}`,
    `${plan.folder}/serial.log`,
  ])
  const all = [['NAME', 'POWER', 'BOOT', 'AGENT BY', 'REDFISH', 'IPMI', 'CONSOLE'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  const head =
    control === null
      ? 'no control plane'
      : `${control.url}${control.running ? '' : ' (has ended)'} ${control.data}`
  return `control plane: ${head}\n\n${lines.join('\n')}\n\n*: how the control plane calls it\n`
}
