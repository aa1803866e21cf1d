import { type ConsoleSession, type SerialConsole } from '../bmc.ts'
import { type Call, IpmiCommands } from './commands.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { startConsole } from './ipmitool.ts'
import { IpmiFailure } from './ipmi-failure.ts'
import { SolProcess } from './sol-process.ts'
import { SolSession } from './sol-session.ts'

/** Opening ends within it, in ms of the clock. */
const openMs = 145_000
/** Between asking somebody to leave and trying again, in ms. */
const leaveMs = 3000

/** The serial console by IPMI's serial over LAN; for servers that are managed by Redfish too. */
export class IpmiConsole implements SerialConsole {
  readonly #commands: IpmiCommands

  /** Throws an Error with one sentence when the options cannot work. */
  constructor(options: IpmiOptions) {
    this.#commands = new IpmiCommands(options)
  }

  /**
   * One session per BMC and process: whoever else wants to read shares it. A session that the BMC still has, such as that of a
   * control plane that was killed, is ended, because a BMC cannot tell whether anybody reads. Throws `BmcError` with `in-use`
   * when it is taken again at once.
   */
  async openConsole(signal: AbortSignal): Promise<ConsoleSession> {
    const { known, clock } = this.#commands
    if (known.consoleOpen === true) throw new IpmiFailure(ours)
    known.consoleOpen = true
    try {
      return await this.#open({ signal, until: clock.now() + openMs })
    } catch (error) {
      known.consoleOpen = false
      throw error
    }
  }

  async #open(call: Call): Promise<ConsoleSession> {
    try {
      return await this.#activate(call)
    } catch (error) {
      if (!(error instanceof IpmiFailure) || error.meaning.retry !== 'console') throw error
    }
    await this.#commands.clock.sleep(leaveMs, call.signal)
    return await this.#activate(call)
  }

  async #activate(call: Call): Promise<ConsoleSession> {
    await this.#deactivate(call)
    const { options, clock, index, known } = this.#commands
    return await this.#commands.turn(call.signal, async () => {
      const process = new SolProcess(startConsole(options, this.#commands.lastSession(), index), clock)
      await process.ready(call.signal)
      const release = () => {
        known.consoleOpen = false
      }
      process.ended.then(release, release)
      return new SolSession(process)
    })
  }

  /** Also finds out which cipher suite and privilege the BMC takes. */
  async #deactivate(call: Call): Promise<void> {
    try {
      await this.#commands.send(['sol', 'deactivate'], /^\s*$/, call)
    } catch (error) {
      // There was none.
      if (!(error instanceof IpmiFailure) || error.meaning.retry !== 'unsupported') throw error
    }
  }
}

const ours = {
  fault: 'in-use',
  outcome: 'refused',
  retry: 'never',
  message: 'This control plane has the serial console open already.',
  remedy: 'Share that session.',
} as const
