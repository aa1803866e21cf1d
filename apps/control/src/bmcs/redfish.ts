import {
  IpmiConsole,
  listSystems,
  readSpki,
  RedfishBmc,
  type SerialConsole,
  type Timekeeper,
} from '@byoi/bmc'
import {
  type BmcKind,
  type BmcServer,
  CannotWork,
  needed,
  onlySettings,
  type Settings,
  shownIdentity,
  textSetting,
} from './bmc-kind.ts'
import { hostSetting, ipmiPassword, paceSettings, portSetting } from './ipmi-settings.ts'

interface RedfishSettings {
  /** `https://HOST[:PORT]`. */
  address: string
  user: string
  /** base64 of the SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4); undefined: not pinned yet. */
  spki: string | undefined
  /** Path of the ComputerSystem; undefined: the only one that there is. */
  system: string | undefined
  console: 'ipmi' | 'none'
}

const names = [
  'address',
  'user',
  'spki',
  'system',
  'console',
  'consoleHost',
  'consolePort',
  'cipherSuite',
  'commandIntervalMs',
]

/** BMCs that speak Redfish (DMTF DSP0266). */
export const redfishKind: BmcKind = {
  open: ({ clock }, server) => {
    const settings = readSettings(server.settings)
    return openRedfish(server, settings, needed(settings.spki, 'spki'), clock)
  },

  enrol: async ({ clock }, server, signal) => {
    const settings = readSettings(server.settings)
    if (server.agentBoot === null) throw new CannotWork('A server with a Redfish BMC needs agentBoot.')
    const { address, user } = settings
    // Nothing is sent to a BMC that is not known yet but a handshake; from here on it is this one or none.
    const spki = settings.spki ?? (await readSpki(address, signal, clock))
    const password = passwordOf(server)
    const system = chooseSystem(
      await listSystems({ address, user, password, spki, clock }, signal),
      settings.system,
    )
    const bmc = openRedfish(server, { ...settings, system }, spki, clock)
    try {
      await bmc.readPower(signal)
      const identity = shownIdentity(await bmc.identify(signal))
      return { settings: { ...server.settings, address, spki, system }, identity }
    } finally {
      await bmc.close()
    }
  },

  resource: (settings) => {
    const { address, system } = readSettings(settings)
    // One BMC may serve the systems of a whole chassis.
    return { what: 'BMC', settings: { address, ...(system === undefined ? {} : { system }) } }
  },
}

type Systems = Awaited<ReturnType<typeof listSystems>>

/** The only system, or the one that is named: a BMC may list a DPU or a whole chassis beside the server. */
function chooseSystem(systems: Systems, wanted: string | undefined): string {
  const found = systems.filter(({ path }) => wanted === undefined || path === wanted)
  const [only] = found
  if (only !== undefined && found.length === 1) return only.path
  const shown = systems.slice(0, 10).map(({ path, model }) => (model === null ? path : `${path} (${model})`))
  throw new CannotWork(
    `The setting system must name the server's system; the BMC lists ${shown.join(', ') || 'none'}.`,
  )
}

function openRedfish(
  server: BmcServer,
  settings: RedfishSettings,
  spki: string,
  clock: Timekeeper,
): RedfishBmc {
  const { address, user, system } = settings
  return new RedfishBmc({
    address,
    user,
    password: passwordOf(server),
    spki,
    firmware: server.boot,
    system: system ?? null,
    console: consoleOf(server, settings, clock),
    clock,
  })
}

/** The serial console. Redfish only describes it; it is reached over IPMI. */
function consoleOf(
  server: BmcServer,
  { address, user, console }: RedfishSettings,
  clock: Timekeeper,
): SerialConsole | null {
  if (console === 'none') return null
  const { settings, boot } = server
  return new IpmiConsole({
    host: hostSetting(settings, 'consoleHost') ?? new URL(address).hostname.replace(/^\[|\]$/g, ''),
    port: portSetting(settings, 'consolePort'),
    ...paceSettings(settings),
    user,
    password: ipmiPassword(server),
    firmware: boot,
    clock,
  })
}

function readSettings(settings: Settings): RedfishSettings {
  onlySettings(settings, names)
  const address = needed(textSetting(settings, 'address', /^https:\/\/./, 'begin with https://'), 'address')
  const user = textSetting(settings, 'user', /^[\x21-\x7e]{1,64}$/, 'be 1 to 64 printable characters')
  const spki = textSetting(
    settings,
    'spki',
    /^(?:sha256\/)?[A-Za-z0-9+/]{43}=$/,
    "be the base64 of the SHA-256 of the certificate's public key",
  )
  const { console = 'none' } = settings
  if (console !== 'ipmi' && console !== 'none') {
    throw new CannotWork('The setting console must be ipmi or none.')
  }
  return {
    address: originOf(address),
    user: needed(user, 'user'),
    spki: spki?.replace('sha256/', ''),
    system: textSetting(settings, 'system', /^\/[\x21-\x7e]{1,255}$/, 'be a path of the BMC'),
    console,
  }
}

/** One spelling of an address, by which a second server with the same BMC is known. */
function originOf(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null
  const plain =
    url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!plain || url.pathname !== '/') {
    throw new CannotWork('The setting address must be https://HOST or https://HOST:PORT.')
  }
  return url.origin
}

function passwordOf({ password }: BmcServer): string {
  if (password === null) throw new CannotWork('The BMC needs a password.')
  return password.reveal()
}
