import { randomBytes } from 'node:crypto'
import { type BmcIdentity } from '../bmc.ts'
import { type Call, type IpmiCommands } from './commands.ts'
import { IpmiFailure } from './ipmi-failure.ts'

const about = ['mc', 'info']
const manufacturerId = /^Manufacturer ID +: (\d+)$/m

export async function identify(commands: IpmiCommands, call: Call): Promise<BmcIdentity> {
  const { input, 1: manufacturer } = await commands.send(about, manufacturerId, call)
  commands.known.manufacturer = Number(manufacturer)
  const field = (name: string): string | null => {
    const value = new RegExp(`^${name} +: ([ -~]{1,100})$`, 'm').exec(input)?.[1]?.trim()
    return value === undefined || value.startsWith('Unknown') ? null : value
  }
  return {
    vendor: field('Manufacturer Name'),
    model: field('Product Name'),
    firmware: field('Firmware Revision'),
    // It stands in the FRU, which is not read: ipmitool's parser of it was a way into the program (CVE-2020-5208).
    serial: null,
    weaknesses: [...(await weakLogins(commands, call)), ...(await suiteZero(commands, call.signal))],
  }
}

/** IANA enterprise number. Asked once per process. */
export async function manufacturerOf(commands: IpmiCommands, call: Call): Promise<number> {
  const { known } = commands
  known.manufacturer ??= Number((await commands.send(about, manufacturerId, call))[1])
  return known.manufacturer
}

const loginTable = [
  {
    says: /^Anonymous login enabled +: yes$/m,
    weakness: 'Anybody can log in to the BMC without a user and a password. Disable its user without a name.',
  },
  {
    says: /^Null user names exist +: yes$/m,
    weakness: 'The BMC has a user without a name. Disable it, so that a password alone is not enough.',
  },
  {
    says: /^IPMI v1\.5 +auth types +:.*\bNONE\b/m,
    weakness:
      'The BMC allows IPMI 1.5 without authentication. Disable the authentication type NONE on its LAN channel.',
  },
]

/** Get Channel Authentication Capabilities (IPMI 2.0, section 22.13) of this channel, for administrators. */
async function weakLogins(commands: IpmiCommands, call: Call): Promise<string[]> {
  try {
    const { input } = await commands.send(['channel', 'authcap', '14', '4'], /^Channel number +: \d+$/m, call)
    return loginTable.filter(({ says }) => says.test(input)).map(({ weakness }) => weakness)
  } catch (error) {
    // Some BMCs answer it outside of sessions only.
    if (error instanceof IpmiFailure) return []
    throw error
  }
}

/** Cipher suite 0 has no authentication: where it is allowed, any password is the right one. */
async function suiteZero(commands: IpmiCommands, signal: AbortSignal): Promise<string[]> {
  const password = randomBytes(12).toString('base64url')
  const session = { cipherSuite: 0, privilege: 'ADMINISTRATOR', password } as const
  if (!(await commands.accepts(about, session, signal))) return []
  return [
    'The BMC takes any password by IPMI cipher suite 0. Disable cipher suite 0 on its LAN channel, or IPMI over LAN altogether.',
  ]
}
