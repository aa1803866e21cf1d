import { spawn } from 'node:child_process'
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Bmc,
  BmcError,
  type BmcIdentity,
  type BootDevice,
  type LocalMedium,
  type PowerState,
  type SerialConsole,
} from '../bmc.ts'
import { writeDurably } from './durable-file.ts'
import { logConsole } from './log-console.ts'
import { isAlive, type ProcessRecord, recordOf } from './process-record.ts'

export { createLocalDisk, isLocalDisk } from './local-disk.ts'

export interface LocalBmcOptions {
  /** Directory of this server's state: boot device, medium, power record, the agent's log. Made when missing. */
  state: string
  /** The program that a start from network or rescue runs, with its first arguments, e.g. `[node, agent/main.ts]`. */
  agentCommand: readonly string[]
  disk: { path: string; serial: string; sectorSize: 512 | 4096 }
  /** All of the environment that the agent gets. */
  environment: Record<string, string>
}

/** `agent`: a process is the running server. `disk`: on, from its disk, without a processor of its own to run it. */
type PowerRecord = { kind: 'off' } | { kind: 'disk' } | { kind: 'agent'; process: ProcessRecord }

const bootDevices = ['disk', 'network', 'cd'] as const satisfies readonly BootDevice[]
const stopMs = 10_000
const agentLog = 'agent.log'

/**
 * The BMC of a file-backed server on this machine: its disk is a file, and its agent a process in a session of its own,
 * which outlives the control plane as a real server would.
 */
export class LocalBmc implements Bmc, LocalMedium {
  readonly virtualMedia = null
  readonly console: SerialConsole
  readonly localMedium = this
  readonly #options: LocalBmcOptions

  constructor(options: LocalBmcOptions) {
    this.#options = options
    this.console = logConsole(this.#file(agentLog))
  }

  async readPower(signal: AbortSignal): Promise<PowerState> {
    signal.throwIfAborted()
    const record = await this.#readRecord()
    if (record.kind === 'disk') return 'on'
    if (record.kind === 'agent' && (await isAlive(record.process))) return 'on'
    return (await this.#strays()).length > 0 ? 'on' : 'off'
  }

  async setPower(to: PowerState, signal: AbortSignal): Promise<void> {
    if ((await this.readPower(signal)) === to) return
    if (to === 'off') return await this.#stop(signal)
    const device = await this.readBootDevice(signal)
    if (device === 'disk') return await this.#writeRecord({ kind: 'disk' })
    await this.#start()
  }

  async readBootDevice(signal: AbortSignal): Promise<BootDevice> {
    signal.throwIfAborted()
    const text = await this.#read('boot')
    return bootDevices.find((device) => device === text) ?? 'disk'
  }

  async setBootDevice(to: BootDevice | null, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#write('boot', to ?? 'disk')
  }

  async insertMedium(content: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#write('medium', content)
  }

  async ejectMedium(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await rm(this.#file('medium'), { force: true })
  }

  async identify(signal: AbortSignal): Promise<BmcIdentity> {
    signal.throwIfAborted()
    return { vendor: 'byoi', model: 'file-backed server', firmware: null, serial: null, weaknesses: [] }
  }

  async close(): Promise<void> {}

  async #start(): Promise<void> {
    const medium = this.#file('medium')
    if ((await this.#read('medium')) === null) {
      throw new BmcError('The server has no boot medium to start from.', {
        fault: 'refused',
        outcome: 'refused',
        remedy: 'Insert the boot medium before the server is turned on.',
      })
    }
    const { agentCommand, disk, environment } = this.#options
    const [program = '', ...first] = agentCommand
    const args = ['--boot-medium', medium, '--disk', disk.path, '--disk-serial', disk.serial]
    const log = await open(this.#file(agentLog), 'a', 0o600)
    try {
      const child = spawn(program, [...first, ...args, '--sector-size', String(disk.sectorSize)], {
        cwd: this.#options.state,
        detached: true,
        env: environment,
        stdio: ['ignore', log.fd, log.fd],
      })
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
      child.unref()
      const record = await recordOf(child.pid ?? 0)
      // Gone already: the server was on and turned itself off, which the next reading tells.
      await this.#writeRecord(record === null ? { kind: 'off' } : { kind: 'agent', process: record })
    } catch (cause) {
      throw new BmcError(`The agent could not be started: ${(cause as NodeJS.ErrnoException).code}.`, {
        fault: 'unreachable',
        outcome: 'unknown',
        remedy: `Check ${program} and the state directory ${this.#options.state}.`,
        cause,
      })
    } finally {
      await log.close()
    }
  }

  async #stop(signal: AbortSignal): Promise<void> {
    const record = await this.#readRecord()
    const recorded = record.kind === 'agent' && (await isAlive(record.process)) ? [record.process] : []
    const running = [...recorded, ...(await this.#strays())]
    // The group goes with its leader: a decoder that outlived the agent would go on writing to the disk.
    for (const { pid } of running) killGroup(pid)
    const until = performance.now() + stopMs
    for (const each of running) {
      while (await isAlive(each)) {
        if (performance.now() > until) {
          throw new BmcError('The server did not turn off.', {
            fault: 'not-done',
            outcome: 'unknown',
            remedy: `Look at process ${each.pid}: it does not end on SIGKILL.`,
          })
        }
        await sleep(10, undefined, { signal })
      }
    }
    await this.#writeRecord({ kind: 'off' })
  }

  /**
   * Agents of this server that no record names: whoever started them was killed before it could write one. They are known
   * by the boot medium's path in their command line.
   */
  async #strays(): Promise<ProcessRecord[]> {
    const medium = this.#file('medium')
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
    const found = await Promise.all(
      pids.map(async (pid) => {
        const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
        const list = words.split('\0')
        return list[list.indexOf('--boot-medium') + 1] === medium ? await recordOf(pid) : null
      }),
    )
    return found.filter((record) => record !== null)
  }

  async #readRecord(): Promise<PowerRecord> {
    const text = await this.#read('power.json')
    return text === null ? { kind: 'off' } : (JSON.parse(text) as PowerRecord)
  }

  async #writeRecord(record: PowerRecord): Promise<void> {
    await this.#write('power.json', JSON.stringify(record))
  }

  #file(name: string): string {
    return join(this.#options.state, name)
  }

  async #read(name: string): Promise<string | null> {
    return await readFile(this.#file(name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw this.#unusable(error)
    })
  }

  async #write(name: string, content: string | Uint8Array): Promise<void> {
    try {
      await mkdir(this.#options.state, { recursive: true, mode: 0o700 })
      await writeDurably(this.#file(name), content)
    } catch (error) {
      throw this.#unusable(error as NodeJS.ErrnoException)
    }
  }

  #unusable(cause: NodeJS.ErrnoException): BmcError {
    return new BmcError(`The state of the file-backed server cannot be used (${cause.code}).`, {
      fault: 'unreachable',
      outcome: 'unknown',
      remedy: `Check the directory ${this.#options.state}.`,
      cause,
    })
  }
}

function killGroup(pid: number): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL')
    } catch {
      // It has ended, or never led a group: what matters is read afterwards.
    }
  }
}
