import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ByoiClient, Secret } from '@byoi/contract'
import type { Command } from 'commander'
import type { Context } from './context.ts'
import { type ApiKey, parseOvhConf } from './ovh-conf.ts'
import { UsageError } from './usage-error.ts'

/** How a command reaches the API. `url` is the operators' name of `endpoint`. */
export interface ApiOptions {
  data?: string
  conf?: string
  url?: string
  endpoint?: string
  ca?: string
}

/** A key with the authority to trust; `ca` is PEM text, undefined for those of the system and NODE_EXTRA_CA_CERTS. */
export interface ApiAccess extends ApiKey {
  ca: string | undefined
}

/** Adds the options that say where the API is and who calls. */
export function withApi(command: Command, endpointFlag: '--url' | '--endpoint'): Command {
  return command
    .option('--data <dir>', "use the operator's key of the control plane on this machine")
    .option(`${endpointFlag} <url>`, 'the API; default: OVH_ENDPOINT, or what the ovh.conf says')
    .option('--conf <file>', 'ovh.conf with the keys; default: the environment, ./ovh.conf, ~/.ovh.conf')
    .option('--ca <file>', 'PEM file of the only certificate authority to trust')
}

export function connect(options: ApiOptions, context: Context): ByoiClient {
  return clientOf(findAccess(options, context))
}

export const clientOf = (access: ApiAccess): ByoiClient =>
  new ByoiClient({
    endpoint: access.endpoint,
    applicationKey: access.applicationKey,
    applicationSecret: new Secret(access.applicationSecret),
    consumerKey: new Secret(access.consumerKey),
    ...(access.ca === undefined ? {} : { ca: access.ca }),
  })

/**
 * Finds the key, in this order: `--data`, `--conf`, the variables OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and
 * OVH_CONSUMER_KEY, `./ovh.conf`, `~/.ovh.conf`. Throws UsageError when there is none or the file is not complete.
 */
export function findAccess(options: ApiOptions, context: Context): ApiAccess {
  const given = options.url ?? options.endpoint
  const ca = options.ca === undefined ? undefined : readText(options.ca)
  const found = options.data === undefined ? findKey(options, context) : readOperatorKey(options.data)
  return {
    ca: undefined,
    ...found,
    ...(ca === undefined ? {} : { ca }),
    endpoint: baseUrl(given ?? found.endpoint),
  }
}

function findKey(options: ApiOptions, context: Context): ApiKey {
  if (options.conf !== undefined) return readConf(options.conf)
  const { env } = context
  const applicationKey = env['OVH_APPLICATION_KEY']
  const applicationSecret = env['OVH_APPLICATION_SECRET']
  const consumerKey = env['OVH_CONSUMER_KEY']
  if (applicationKey && applicationSecret && consumerKey) {
    const endpoint = options.url ?? options.endpoint ?? env['OVH_ENDPOINT']
    if (endpoint === undefined) throw new UsageError('OVH_ENDPOINT is not set, and no endpoint is given.')
    return { endpoint, applicationKey, applicationSecret, consumerKey }
  }
  const file = ['ovh.conf', join(context.home, '.ovh.conf')].find((path) => existsSync(path))
  if (file !== undefined) return readConf(file)
  throw new UsageError(
    'There is no key: give --data DIR or --conf FILE, or set OVH_ENDPOINT, OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY.',
  )
}

function readConf(path: string): ApiKey {
  const key = parseOvhConf(readText(path))
  if (key === undefined)
    throw new UsageError(`${path} has no [default] endpoint with a section that holds its three keys.`)
  return key
}

/** The key that the control plane leaves for its own operator in its data directory. */
function readOperatorKey(directory: string): ApiAccess {
  const path = join(directory, 'operator.json')
  if (!existsSync(path))
    throw new UsageError(`${resolve(path)} is not there: has byoi up --data ${directory} been started?`)
  const text = readText(path)
  let key: Partial<ApiAccess>
  try {
    key = JSON.parse(text) as Partial<ApiAccess>
  } catch {
    // The parser's own message would quote the keys.
    key = {}
  }
  const { endpoint, applicationKey, applicationSecret, consumerKey, ca } = key
  if (!endpoint || !applicationKey || !applicationSecret || !consumerKey)
    throw new UsageError(`${resolve(path)} is no operator's key.`)
  return { endpoint, applicationKey, applicationSecret, consumerKey, ca }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(`${path} cannot be read: ${code}.`, { cause: error })
  }
}

/** The API lives under `/1.0`; a URL without a path means that. */
function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new UsageError(`The endpoint ${JSON.stringify(text)} is no http or https URL.`)
  return url.pathname === '/' ? `${url.origin}/1.0` : text.replace(/\/+$/, '')
}
