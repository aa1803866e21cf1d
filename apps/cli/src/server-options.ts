import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { type AgentBoot, agentBootWays, checkShape, NetworkConfig, type NewServerBody } from '@byoi/contract'
import { type Command, Option } from 'commander'
import type { PasswordOptions } from './bmc-password.ts'
import { parseSize } from './parse-size.ts'
import { collect } from './repeatable.ts'
import { UsageError } from './usage-error.ts'

type Settings = NewServerBody['bmc']['settings']

/** What `server add` and `server set` say of a server's BMC. */
export interface BmcOptions extends PasswordOptions {
  bmcAddress?: string
  bmcUser?: string
  bmcFingerprint?: string
  bmcSystem?: string
  cipherSuite?: string
  commandInterval?: string
  console?: 'ipmi' | 'none'
  consoleAddress?: string
}

/** How the agent gets onto it. */
export interface AgentOptions {
  agentBoot?: AgentBoot['way']
  mac: string[]
  kernelWords?: string
  network?: string
}

/** Which disk is its target; none: what the agent finds. */
export interface DiskOptions {
  diskSerial?: string
  diskWwn?: string
  diskSize?: string
}

export const withServerOptions = (command: Command): Command =>
  command
    .option('--bmc-address <address>', 'redfish: https://HOST[:PORT]; ipmi: HOST[:PORT]')
    .option(
      '--bmc-user <name>',
      "the BMC's user; its password: --bmc-password-file, BYOI_BMC_PASSWORD, or asked for",
    )
    .option('--bmc-password-file <file>', 'file whose one line is the password')
    .option(
      '--bmc-fingerprint <pin>',
      "redfish: base64 SHA-256 of the public key of the BMC's certificate; new: the one that it has now",
    )
    .option('--bmc-system <path>', 'redfish: the system, where the BMC has several')
    .addOption(new Option('--cipher-suite <number>', 'ipmi: instead of 17, then 3').choices(['17', '3']))
    .option('--command-interval <ms>', 'ipmi: least time between two commands; default 5000')
    .addOption(
      new Option('--console <kind>', 'redfish: where its serial console is').choices(['ipmi', 'none']),
    )
    .option('--console-address <host:port>', "redfish: of that console; default: the BMC's host and 623")
    .addOption(
      new Option('--agent-boot <way>', "how the agent gets into the server's RAM").choices(agentBootWays),
    )
    .option(
      '--mac <address>',
      'port that it boots from (repeatable); needed for netboot and uefi-http',
      collect,
      [],
    )
    .option('--kernel-words <words>', "more words for the agent's kernel, such as console=ttyS1,115200")
    .option('--network <file>', "JSON file: the agent's network, where it is not DHCP on the first port")
    .option('--disk-serial <serial>', 'the target disk; default: what the agent finds')
    .option('--disk-wwn <wwn>', 'and its World Wide Name')

/** The settings that the options name, for a kind of BMC; what is not named is absent. Throws UsageError. */
export function bmcSettings(kind: string, options: BmcOptions): Settings {
  const { bmcAddress, bmcUser, cipherSuite, commandInterval } = options
  return {
    ...(bmcAddress === undefined ? {} : addressSettings(kind, bmcAddress)),
    ...(bmcUser === undefined ? {} : { user: bmcUser }),
    ...redfishSettings(kind, options),
    ...(cipherSuite === undefined ? {} : { cipherSuite: Number(cipherSuite) }),
    ...(commandInterval === undefined ? {} : { commandIntervalMs: milliseconds(commandInterval) }),
  }
}

function redfishSettings(kind: string, options: BmcOptions): Settings {
  const { bmcFingerprint, bmcSystem, console, consoleAddress } = options
  const named = {
    '--bmc-fingerprint': bmcFingerprint,
    '--bmc-system': bmcSystem,
    '--console-address': consoleAddress,
  }
  const wrong = Object.entries(named).find(([, value]) => kind !== 'redfish' && value !== undefined)
  if (wrong !== undefined) throw new UsageError(`${wrong[0]} is for --bmc redfish.`)
  return {
    ...(bmcFingerprint === undefined || bmcFingerprint === 'new' ? {} : { spki: bmcFingerprint }),
    ...(bmcSystem === undefined ? {} : { system: bmcSystem }),
    // An IPMI BMC has its console anyway.
    ...(console === undefined || kind !== 'redfish' ? {} : { console }),
    ...(consoleAddress === undefined ? {} : hostAndPort(consoleAddress, 'consoleHost', 'consolePort')),
  }
}

const addressSettings = (kind: string, address: string): Settings =>
  kind === 'redfish' ? { address } : hostAndPort(address, 'host', 'port')

/** `HOST`, `HOST:PORT`, `[IPv6]`, `[IPv6]:PORT`, or an IPv6 address alone. */
function hostAndPort(text: string, hostName: string, portName: string): Settings {
  if (isIPv6(text)) return { [hostName]: text }
  const [, bracketed, plain, port] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+))(?::([0-9]{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined)
    throw new UsageError(`"${text}" is no address; write HOST, HOST:PORT or [IPv6]:PORT.`)
  return { [hostName]: host, ...(port === undefined ? {} : { [portName]: Number(port) }) }
}

function milliseconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError('Write --command-interval in milliseconds, such as 5000.')
  return Number(text)
}

/** What the options say of how the agent comes; undefined where they say nothing of it. Throws UsageError. */
export function agentBootOf(options: AgentOptions): Partial<AgentBoot> | undefined {
  const { agentBoot, mac, kernelWords, network } = options
  if (agentBoot === undefined && mac.length === 0 && kernelWords === undefined && network === undefined)
    return undefined
  return {
    ...(agentBoot === undefined ? {} : { way: agentBoot }),
    ...(mac.length === 0 ? {} : { macs: mac.map(parseMac) }),
    ...(kernelWords === undefined ? {} : { kernelWords }),
    ...(network === undefined ? {} : { network: readNetwork(network) }),
  }
}

function parseMac(text: string): string {
  const mac = text.toLowerCase().replaceAll('-', ':')
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) return mac
  throw new UsageError(`"${text}" is no MAC address; write one as 52:54:00:12:34:56.`)
}

/** Throws UsageError, or BadParameter for the first member at fault. */
function readNetwork(path: string): NetworkConfig {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    })
  }
  return checkShape(NetworkConfig, parseJson(text, path), path)
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${path} is not JSON.`, { cause: error })
  }
}

/** The one disk that the options name; undefined where they name none. Throws UsageError. */
export function diskGroupsOf({
  diskSerial,
  diskWwn,
  diskSize,
}: DiskOptions): NewServerBody['diskGroups'] | undefined {
  if (diskSerial === undefined && diskWwn === undefined && diskSize === undefined) return undefined
  if (diskSerial === undefined || diskSize === undefined) {
    throw new UsageError(
      'A disk is named by --disk-serial and --disk-size, and its --disk-wwn where it has one.',
    )
  }
  const disk = {
    serial: diskSerial,
    size: parseSize(diskSize),
    ...(diskWwn === undefined ? {} : { wwn: diskWwn }),
  }
  return [{ diskGroupId: 1, disks: [disk] }]
}
