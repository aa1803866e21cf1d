import {
  type BmcServer,
  CannotWork,
  needed,
  numberSetting,
  onlySettings,
  type Settings,
  textSetting,
} from './bmc-kind.ts'

/** How to reach what speaks IPMI over LAN. */
export interface IpmiAccess {
  host: string
  port: number
  user: string
  /** null: 17, else 3. */
  cipherSuite: 3 | 17 | null
  commandIntervalMs: number
}

const defaultPort = 623
/** Faster, some BMCs crash. */
const defaultIntervalMs = 5000
/** IPMI 2.0, section 22.30. */
const maxPasswordBytes = 20

/** The settings of a BMC that speaks nothing but IPMI. Throws `CannotWork`. */
export function readIpmiSettings(settings: Settings): IpmiAccess {
  onlySettings(settings, ['host', 'port', 'user', 'cipherSuite', 'commandIntervalMs'])
  const user = textSetting(settings, 'user', /^[\x21-\x7e]{1,16}$/, 'be 1 to 16 printable characters')
  return {
    host: needed(hostSetting(settings, 'host'), 'host'),
    port: portSetting(settings, 'port'),
    user: needed(user, 'user'),
    ...paceSettings(settings),
  }
}

/** How it is talked to, in the same words for the console of a Redfish BMC. */
export function paceSettings(settings: Settings): Pick<IpmiAccess, 'cipherSuite' | 'commandIntervalMs'> {
  const { cipherSuite = null } = settings
  // Suite 0 is no protection at all, and of the others only these two are worth the name.
  if (cipherSuite !== null && cipherSuite !== 3 && cipherSuite !== 17) {
    throw new CannotWork('The setting cipherSuite must be 17 or 3.')
  }
  const commandIntervalMs = numberSetting(settings, 'commandIntervalMs', [0, 60_000]) ?? defaultIntervalMs
  return { cipherSuite, commandIntervalMs }
}

/** In lower case: one spelling, by which a second server with the same BMC is known. */
export const hostSetting = (settings: Settings, name: string): string | undefined =>
  textSetting(
    settings,
    name,
    /^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/,
    'be a host name or an address',
  )?.toLowerCase()

export const portSetting = (settings: Settings, name: string): number =>
  numberSetting(settings, name, [1, 65_535]) ?? defaultPort

export function ipmiPassword({ password }: BmcServer): string {
  if (password === null) throw new CannotWork('The BMC needs a password.')
  const text = password.reveal()
  if (Buffer.byteLength(text) <= maxPasswordBytes) return text
  throw new CannotWork(`IPMI takes passwords of ${maxPasswordBytes} bytes at most.`)
}
