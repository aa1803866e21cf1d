import { type Bmc, type BmcIdentity, type BootDevice, type PowerState, type SerialConsole } from '../bmc.ts'
import { readBootDevice, setBootDevice } from './boot-device.ts'
import { type Call, IpmiCommands } from './commands.ts'
import { identify } from './identify.ts'
import { IpmiConsole } from './ipmi-console.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { type RunIpmitool } from './ipmitool.ts'
import { readPower, setPower } from './power.ts'

/** Each call ends within it, in ms of the clock; the last run of ipmitool may take a second more. */
const callMs = 145_000

/** A server's BMC over IPMI 2.0, by ipmitool. Calls throw `BmcError`, or the signal's reason when it aborts. */
export class IpmiBmc implements Bmc {
  readonly virtualMedia = null
  readonly localMedium = null
  readonly console: SerialConsole
  readonly #commands: IpmiCommands

  /**
   * Throws an Error with one sentence when the options cannot work.
   * @param run Stands in for ipmitool, in tests in simulated time.
   */
  constructor(options: IpmiOptions, run?: RunIpmitool) {
    this.#commands = new IpmiCommands(options, run)
    this.console = new IpmiConsole(options)
  }

  async readPower(signal: AbortSignal): Promise<PowerState> {
    return await readPower(this.#commands, this.#call(signal))
  }

  async setPower(to: PowerState, signal: AbortSignal): Promise<void> {
    await setPower(this.#commands, to, this.#call(signal))
  }

  async readBootDevice(signal: AbortSignal): Promise<BootDevice | null> {
    return await readBootDevice(this.#commands, this.#call(signal))
  }

  async setBootDevice(to: BootDevice | null, signal: AbortSignal): Promise<void> {
    await setBootDevice(this.#commands, to, this.#call(signal))
  }

  async identify(signal: AbortSignal): Promise<BmcIdentity> {
    return await identify(this.#commands, this.#call(signal))
  }

  async close(): Promise<void> {}

  #call(signal: AbortSignal): Call {
    return { signal, until: this.#commands.clock.now() + callMs }
  }
}
