import { type Timekeeper } from '../clock.ts'
import { bootDeviceOf, bootFlagsFor, decodeBootFlags, encodeBootFlags } from '../ipmi/boot-flags.ts'
import { type IpmitoolRun, type RunIpmitool, type SessionWish } from '../ipmi/ipmitool.ts'
import { type MemoryMachine } from '../simulated/memory-machine.ts'
import { ipmitoolTexts, type IpmitoolTextName } from './ipmitool-texts.ts'

export interface IpmitoolCall {
  command: string
  session: SessionWish
  /** Time of the clock at which the driver kills it. */
  until: number
}

export type IpmitoolHandler = (call: IpmitoolCall) => Promise<IpmitoolRun>
/** Stands between the driver and the BMC: may change the command, what is told, or how long it takes. */
export type Misbehave = (call: IpmitoolCall, next: IpmitoolHandler) => Promise<IpmitoolRun>

export const succeeds = (stdout: string): IpmitoolRun => ({ status: 0, killed: null, stdout, stderr: '' })
export const fails = (name: IpmitoolTextName): IpmitoolRun => {
  return { status: 1, killed: null, stdout: '', stderr: ipmitoolTexts[name].stderr }
}

/** ms of one run of ipmitool. */
const usualMs = 300
/** A BMC that never answers: twice 5 s, 6 s and 7 s. Measured with -N 5 -R 3. */
export const silentMs = 36_200
/** Boot flags last so long, unless the BMC was told otherwise. */
const flagsMs = 60_000

/**
 * What ipmitool says of a BMC in front of a machine, in simulated time. Its texts are held to the real ipmitool by
 * `ipmitool-texts.test.ts`.
 */
export class SimulatedIpmitool {
  readonly machine: MemoryMachine
  readonly clock: Timekeeper
  password: string
  suites: SessionWish['cipherSuite'][] = [3, 17]
  /** Commands in order, refused logins included. */
  readonly calls: IpmitoolCall[] = []
  readonly #faults: Misbehave[] = []
  /** When the boot flags were written; null: they stay valid. */
  #flagsAt: number | null = null
  #flagsKept = false

  constructor(machine: MemoryMachine, clock: Timekeeper, password: string) {
    this.machine = machine
    this.clock = clock
    this.password = password
  }

  /** The one that came first is nearest to the BMC. */
  use(fault: Misbehave): void {
    this.#faults.push(fault)
  }

  readonly run: RunIpmitool = async (command, session, timeoutMs, signal) => {
    const until = this.clock.now() + timeoutMs
    const call = { command: command.join(' '), session, until }
    this.calls.push(call)
    await this.clock.sleep(usualMs, signal)
    const bmc: IpmitoolHandler = async (each) => await this.#answer(each)
    const run = await this.#faults.reduce<IpmitoolHandler>(
      (next, fault) => (each) => fault(each, next),
      bmc,
    )(call)
    return this.clock.now() < until ? run : { status: null, killed: 'time', stdout: '', stderr: run.stderr }
  }

  async #answer({ command, session }: IpmitoolCall): Promise<IpmitoolRun> {
    if (!this.suites.includes(session.cipherSuite)) return fails('has no such authentication')
    const isOpen = session.cipherSuite === 0 || session.password === this.password
    if (!isOpen) return fails('has another password')
    if (command.startsWith('raw 0x00 0x08 ')) return await this.#setParameter(command)
    switch (command) {
      case 'chassis power status':
        return succeeds(`Chassis Power is ${await this.machine.power()}\n`)
      case 'chassis power on':
        await this.machine.act('on')
        return succeeds('Chassis Power Control: Up/On\n')
      case 'chassis power off':
        await this.machine.act('off')
        return succeeds('Chassis Power Control: Down/Off\n')
      case 'chassis bootparam get 5':
        return this.#bootFlags()
      case 'mc info':
        return succeeds(mcInfo)
      case 'channel authcap 14 4':
        return fails('does not have the command')
      default:
        throw new Error(`ipmitool ${command} is not simulated`)
    }
  }

  async #setParameter(command: string): Promise<IpmitoolRun> {
    const [, , , parameter, ...data] = command.split(' ').map(Number)
    if (parameter === 3) this.#flagsKept = data[0] === 0x08
    if (parameter === 5) {
      const flags = decodeBootFlags(Buffer.from(data).toString('hex'))
      const device = bootDeviceOf(flags, undefined)
      const firmware = flags.efi ? 'uefi' : 'legacy'
      await this.machine.setBoot({ device, once: !flags.persistent, firmware, httpUri: null })
      this.#flagsAt = this.#flagsKept ? null : this.clock.now()
    }
    return succeeds('\n')
  }

  async #bootFlags(): Promise<IpmitoolRun> {
    const { device, once, firmware } = this.machine.boot()
    const expired = this.#flagsAt !== null && this.clock.now() > this.#flagsAt + flagsMs
    if (expired) await this.machine.setBoot({ device: null, once: false, firmware, httpUri: null })
    const known = expired || device === 'uefi-http' ? null : device
    const flags = { ...bootFlagsFor(known, firmware, undefined), persistent: known !== null && !once }
    return succeeds(bootParameter(Buffer.from(encodeBootFlags(flags)).toString('hex')))
  }
}

export const bootParameter = (hex: string): string =>
  `Boot parameter version: 1\nBoot parameter 5 is valid/unlocked\nBoot parameter data: ${hex}\n Boot Flags :\n`

const mcInfo = `Device ID                 : 32
Firmware Revision         : 2.45
Manufacturer ID           : 674
Manufacturer Name         : Dell Inc.
Product ID                : 256 (0x0100)
Product Name              : Unknown (0x100)
`
