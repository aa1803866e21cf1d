import { type Firmware } from '../bmc.ts'
import { type Timekeeper } from '../clock.ts'

export interface IpmiOptions {
  /** Name or address, as ipmitool's `-H` takes it. */
  host: string
  /** UDP; 623 unless the BMC was told otherwise. */
  port: number
  /** At most 16 bytes. */
  user: string
  /** At most 20 bytes (IPMI 2.0, section 22.30). */
  password: string
  firmware: Firmware
  /** null: 17, then 3 where the BMC does not offer it. Never lower. */
  cipherSuite: 17 | 3 | null
  /** Least time between two commands to one BMC, ms (5000 for real ones: faster can crash them; 0 in tests). */
  commandIntervalMs: number
  clock?: Timekeeper
  /** The program that is run, with its first arguments; default ipmitool. */
  program?: readonly string[]
}

/** Throws an Error with one sentence, without the value, when ipmitool could not take what is given. */
export function checkIpmiOptions({ host, port, user, password }: IpmiOptions): void {
  if (host === '' || host.includes('\0'))
    throw new Error('The address of the BMC is not a name or an address.')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error('The UDP port of the BMC must be 1 to 65535.')
  }
  checkWord('user', user, 16)
  checkWord('password', password, 20)
}

function checkWord(name: string, value: string, most: number): void {
  if (value.includes('\0')) throw new Error(`The ${name} of the BMC holds a zero byte.`)
  if (Buffer.byteLength(value) > most) {
    throw new Error(`The ${name} of the BMC is longer than the ${most} bytes that IPMI takes.`)
  }
}
