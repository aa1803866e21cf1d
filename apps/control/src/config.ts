import { homedir, hostname } from 'node:os'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { type UpOptions, upCommand } from './config-command.ts'
import { type Address, hasUserInfo, isDatabaseUrl } from './config-values.ts'

export type { Address }

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

/** Ends the process with help (0) or on wrong usage (2). */
export function readConfig(argv: string[], env: NodeJS.ProcessEnv): Config {
  const command = upCommand(defaultData(process.getuid?.() === 0))
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv, { from: 'user' })
  const options = command.opts<UpOptions>()
  const wrong = wrongUsage(options)
  if (wrong !== null) command.error(`error: ${wrong}`)
  const data = resolve(options.data)
  return {
    data,
    listen: options.listen,
    http: options.http ?? null,
    database: options.database ?? null,
    publicUrls: options.publicUrl,
    provisioning: provisioningOf(options, data),
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

/** What no argument parser can judge, or must not, because its complaint would quote a value that may hold a password. */
function wrongUsage(options: UpOptions): string | null {
  const { database, provisioning, provisioningUrl, mediaUrl, agentUrl, publicUrl, phoneHome } = options
  if (database !== undefined && !isDatabaseUrl(database)) {
    return 'write --database as postgres://USER@HOST:PORT/DATABASE'
  }
  const urls = [...publicUrl, provisioningUrl, mediaUrl, agentUrl]
  if (urls.some((url) => url !== undefined && hasUserInfo(url))) return 'write URLs without user and password'
  if (provisioning === undefined) {
    if (phoneHome) return '--phone-home needs --provisioning: there deployed systems call'
    const alone = provisioningUrl !== undefined || mediaUrl !== undefined
    return alone ? '--provisioning-url and --media-url need --provisioning' : null
  }
  return provisioningUrl === undefined && isAnyAddress(provisioning.host)
    ? 'a listener on all addresses needs --provisioning-url, the one that servers see'
    : null
}

function provisioningOf(options: UpOptions, data: string): ProvisioningConfig | null {
  const { provisioning, provisioningUrl, mediaUrl, ramdisk } = options
  if (provisioning === undefined) return null
  return {
    listen: provisioning,
    url: provisioningUrl ?? null,
    mediaUrl: mediaUrl ?? null,
    ramdisk: resolve(ramdisk ?? join(data, 'ramdisk')),
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

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '')

export const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::'

export const urlHost = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host)

const defaultData = (root: boolean): string =>
  root ? '/var/lib/byoi' : join(homedir(), '.local', 'share', 'byoi')
