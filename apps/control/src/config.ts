import { homedir, hostname } from 'node:os'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'

/** What `byoi up` was asked for. Read once, here; nothing else reads arguments or environment. */
export interface Config {
  data: string
  listen: Address
  /** Plain HTTP, on loopback only; null: none. */
  http: Address | null
  /** null: the embedded one. */
  database: string | null
  publicUrls: string[]
  /** Where real servers fetch their agent; null: there are none. */
  provisioning: ProvisioningConfig | null
  /** What the agents of real servers call; null: the first https public URL, or the API's own address. */
  agentUrl: string | null
  /** Deployed systems are asked to phone home at the provisioning listener. */
  phoneHome: boolean
  /** How long recordings of serial consoles are kept. */
  consoleDays: number
  allowAddresses: string[]
  allowPrivateAddresses: boolean
  /** Bytes. */
  spoolBytes: number
  logLevel: string
  /** All of the environment that agents on this machine get: PATH, and where compiled sources are kept. */
  agentEnvironment: Record<string, string>
  failpoint: string | null
}

export interface ProvisioningConfig {
  listen: Address
  /** As servers see it; null: the address that it listens on. */
  url: string | null
  /** As BMCs see it; null: the same. */
  mediaUrl: string | null
  /** Directory of what `byoi ramdisk build` made. */
  ramdisk: string
}

export interface Address {
  host: string
  /** 0: any that is free. */
  port: number
}

/** Ends the process with help (0) or on wrong usage (2). */
export function readConfig(argv: string[], env: NodeJS.ProcessEnv): Config {
  const root = process.getuid?.() === 0
  const command = new Command('byoi up')
    .description(
      'Start the control plane: the API, the workflow, and where servers and agents call. Prints a line that begins with "ready" when it serves.',
    )
    .option('--data <dir>', 'state: keys, certificates, embedded database', defaultData(root))
    .option('--listen <host:port>', 'HTTPS; port 0 takes any that is free', parseAddress, {
      host: '127.0.0.1',
      port: 8443,
    })
    .option('--http <host:port>', 'plain HTTP beside it, on a loopback address only', parseLoopback)
    .option('--database <url>', 'PostgreSQL 15 or newer instead of the embedded one')
    .option('--public-url <url>', 'a name under which clients know the API (repeatable)', collectUrl, [])
    .option(
      '--provisioning <host:port>',
      'plain HTTP from which real servers boot, on an isolated network; nothing else is served there',
      parseAddress,
    )
    .option('--provisioning-url <url>', 'how servers see it; default: its own address', parseUrl)
    .option('--media-url <url>', 'how BMCs see it; default: as servers do', parseUrl)
    .option(
      '--agent-url <url>',
      'https URL that the agents of real servers call; default: the public URL',
      parseSecureUrl,
    )
    .option('--ramdisk <dir>', 'what byoi ramdisk build made; default: ramdisk in the data directory')
    .option(
      '--phone-home',
      'ask deployed systems with a config drive to tell --provisioning that they have booted',
    )
    .option('--console-days <days>', 'how long recordings of serial consoles are kept', parseDays, 30)
    .option(
      '--allow-address <cidr>',
      'images may come from these addresses although they are loopback or such (repeatable)',
      collectCidr,
      [],
    )
    .option('--allow-private-addresses', 'images may come from private addresses (default)')
    .option('--no-allow-private-addresses', 'images may not come from private addresses (RFC 1918, ULA)')
    .option(
      '--spool <size>',
      'RAM of an agent for image data whose place is not known yet',
      parseSize,
      256 * mebibyte,
    )
    .option('--log-level <level>', 'of the JSON log on stderr', parseLevel, 'info')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv, { from: 'user' })
  const options = command.opts<{
    data: string
    listen: Address
    http?: Address
    database?: string
    publicUrl: string[]
    provisioning?: Address
    provisioningUrl?: string
    mediaUrl?: string
    agentUrl?: string
    ramdisk?: string
    phoneHome?: boolean
    consoleDays: number
    allowAddress: string[]
    allowPrivateAddresses?: boolean
    spool: number
    logLevel: string
  }>()
  // Not by an argument parser: its complaint would quote the value, which may hold a password.
  if (options.database !== undefined && !isDatabaseUrl(options.database)) {
    command.error('error: write --database as postgres://USER@HOST:PORT/DATABASE')
  }
  const { provisioning, provisioningUrl, mediaUrl } = options
  const urls = [...options.publicUrl, provisioningUrl, mediaUrl, options.agentUrl]
  if (urls.some((url) => url !== undefined && hasUserInfo(url))) {
    command.error('error: write URLs without user and password')
  }
  if (provisioning === undefined && (provisioningUrl !== undefined || mediaUrl !== undefined)) {
    command.error('error: --provisioning-url and --media-url need --provisioning')
  }
  if (options.phoneHome && provisioning === undefined) {
    command.error('error: --phone-home needs --provisioning: there deployed systems call')
  }
  if (provisioning !== undefined && provisioningUrl === undefined && isAnyAddress(provisioning.host)) {
    command.error('error: a listener on all addresses needs --provisioning-url, the one that servers see')
  }
  const data = resolve(options.data)
  return {
    data,
    listen: options.listen,
    http: options.http ?? null,
    database: options.database ?? null,
    publicUrls: options.publicUrl,
    provisioning:
      provisioning === undefined
        ? null
        : {
            listen: provisioning,
            url: provisioningUrl ?? null,
            mediaUrl: mediaUrl ?? null,
            ramdisk: resolve(options.ramdisk ?? join(data, 'ramdisk')),
          },
    agentUrl: options.agentUrl ?? null,
    phoneHome: options.phoneHome ?? false,
    consoleDays: options.consoleDays,
    allowAddresses: options.allowAddress,
    allowPrivateAddresses: options.allowPrivateAddresses ?? true,
    spoolBytes: options.spool,
    logLevel: options.logLevel,
    agentEnvironment: {
      PATH: env['PATH'] ?? '/usr/bin:/bin',
      ...(env['NODE_COMPILE_CACHE'] === undefined ? {} : { NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] }),
    },
    failpoint: env['BYOI_FAILPOINT'] ?? null,
  }
}

/** Names that the server's certificate is good for: whatever clients on this machine or by the given names may use. */
export const certificateNames = (config: Config): string[] => [
  ...new Set([
    'localhost',
    '127.0.0.1',
    '::1',
    hostname().toLowerCase(),
    ...(isAnyAddress(config.listen.host) ? [] : [config.listen.host]),
    ...[...config.publicUrls, ...(config.agentUrl === null ? [] : [config.agentUrl])].map(hostOf),
  ]),
]

const hasUserInfo = (url: string): boolean => new URL(url).username !== '' || new URL(url).password !== ''

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '')

export const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::'

export const urlHost = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host)

const defaultData = (root: boolean): string =>
  root ? '/var/lib/byoi' : join(homedir(), '.local', 'share', 'byoi')

const mebibyte = 1024 * 1024
const units: Record<string, number> = { '': 1, K: 1024, M: mebibyte, G: 1024 * mebibyte }

function parseSize(text: string): number {
  const [, digits, unit] = /^([0-9]{1,12})([KMG]?)(?:iB)?$/.exec(text) ?? []
  const size = Number(digits) * (units[unit ?? ''] ?? 1)
  if (digits === undefined || !Number.isSafeInteger(size)) {
    throw new InvalidArgumentError('Write a size in bytes, or like 256MiB.')
  }
  return size
}

function parseDays(text: string): number {
  const days = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (days < 1) throw new InvalidArgumentError('Write a whole number of days from 1.')
  return days
}

function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > 65_535) throw new InvalidArgumentError('Write HOST:PORT or [IPv6]:PORT.')
  return { host, port }
}

function parseLoopback(text: string): Address {
  const address = parseAddress(text)
  const loopback =
    address.host === 'localhost' || address.host === '::1' || /^127(\.\d{1,3}){3}$/.test(address.host)
  if (!loopback) throw new InvalidArgumentError('Plain HTTP is served on loopback addresses only.')
  return address
}

const isDatabaseUrl = (text: string): boolean =>
  URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol)

function collectUrl(text: string, previous: string[]): string[] {
  return [...previous, parseUrl(text).replace(/\/(?:1\.0|v1)$/, '')]
}

/** Without a slash at the end. */
function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const plain = url !== null && url.search === '' && url.hash === ''
  if (!plain || !/^https?:$/.test(url.protocol)) throw new InvalidArgumentError('Write an http or https URL.')
  return text.replace(/\/+$/, '')
}

function parseSecureUrl(text: string): string {
  if (!text.startsWith('https:')) throw new InvalidArgumentError('Agents call over https only.')
  return parseUrl(text)
}

function collectCidr(text: string, previous: string[]): string[] {
  const [address = '', bits = ''] = text.split('/')
  const family = isIP(address)
  const good = family !== 0 && /^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  if (!good) throw new InvalidArgumentError('Write addresses as 127.0.0.0/8 or fd00::/8.')
  return [...previous, text]
}

function parseLevel(text: string): string {
  if (!['debug', 'info', 'warn', 'error', 'fatal'].includes(text)) {
    throw new InvalidArgumentError('Use debug, info, warn, error or fatal.')
  }
  return text
}
