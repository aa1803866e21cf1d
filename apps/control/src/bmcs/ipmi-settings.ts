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
  cipherSuite: 3 | 17
}

const defaultPort = 623
/** IPMI 2.0, section 22.30. */
const maxPasswordBytes = 20

/** The settings of a BMC that speaks nothing but IPMI. Throws `CannotWork`. */
export function readIpmiSettings(settings: Settings): IpmiAccess {
  onlySettings(settings, ['host', 'port', 'user', 'cipherSuite'])
  const user = textSetting(settings, 'user', /^[\x21-\x7e]{1,16}$/, 'be 1 to 16 printable characters')
  return {
    host: needed(hostSetting(settings, 'host'), 'host'),
    port: portSetting(settings, 'port'),
    user: needed(user, 'user'),
    cipherSuite: cipherSuiteSetting(settings, 'cipherSuite'),
  }
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

/** Suite 17 where the BMC has it; 3 is the other one that protects anything. */
export function cipherSuiteSetting(settings: Settings, name: string): 3 | 17 {
  const { [name]: suite = 17 } = settings
  if (suite === 3 || suite === 17) return suite
  throw new CannotWork(`The setting ${name} must be 17 or 3.`)
}

export function ipmiPassword({ password }: BmcServer): string {
  if (password === null) throw new CannotWork('The BMC needs a password.')
  const text = password.reveal()
  if (Buffer.byteLength(text) <= maxPasswordBytes) return text
  throw new CannotWork(`IPMI takes passwords of ${maxPasswordBytes} bytes at most.`)
}
