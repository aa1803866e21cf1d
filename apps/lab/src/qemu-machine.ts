import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BootSetting,
  type Machine,
  type MachineAction,
  type MachineIdentity,
  type PowerState,
} from '@byoi/bmc'
import { qemuArguments } from './qemu/command.ts'
import { firmwareImage } from './qemu/firmware.ts'
import { QemuRun } from './qemu/run.ts'
import { probeMedium } from './probe-medium.ts'
import { type ServerPlan } from './server-plan.ts'

/** Resets in a row without an action of the BMC: a system that panics and reboots for ever must not keep the host busy. */
const maxResets = 20
/** ms without power in a power cycle. */
const cycleMs = 1000

export interface MachineState {
  power: PowerState
  boot: BootSetting
  medium: string | null
  /** How often the firmware has started, resets included. */
  starts: number
  /** Process id of QEMU. */
  pid: number | null
}

/** Paths of the Unix sockets in a server's folder; at most 107 bytes (unix(7)), which `lab up` has checked. */
export const socketsOf = (folder: string) => ({
  monitor: join(folder, 'monitor.sock'),
  control: join(folder, 'control.sock'),
})

/** A server in QEMU, as its BMC sees it. */
export class QemuMachine implements Machine {
  readonly identity: MachineIdentity
  readonly #plan: ServerPlan
  readonly #serialPort: number
  readonly #log: (line: string) => void
  /** Stays on while the system resets the server, although QEMU ends and is started again. */
  #power: PowerState = 'off'
  #run: QemuRun | null = null
  #boot: BootSetting
  #medium: string | null = null
  #starts = 0
  #resets = 0
  /** Actions happen one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  /** @param serialPort TCP port on loopback that QEMU connects the serial line to. */
  constructor(plan: ServerPlan, serialPort: number, log: (line: string) => void) {
    this.#plan = plan
    this.#serialPort = serialPort
    this.#log = log
    this.#boot = { device: null, once: false, firmware: plan.firmware, httpUri: null }
    this.identity = { uuid: plan.uuid, manufacturer: 'byoi', model: 'lab', serial: plan.name }
  }

  async power(): Promise<PowerState> {
    return this.#power
  }

  state(): MachineState {
    return {
      power: this.#power,
      boot: this.#boot,
      medium: this.#medium,
      starts: this.#starts,
      pid: this.#run?.pid ?? null,
    }
  }

  async act(action: MachineAction): Promise<void> {
    await this.#inTurn(async () => {
      this.#resets = 0
      await this.#do(action)
    })
  }

  boot(): BootSetting {
    return this.#boot
  }

  async setBoot(setting: BootSetting): Promise<void> {
    if (setting.device === 'uefi-http') throw new Error('The lab has no UEFI HTTP boot.')
    this.#boot = setting
  }

  medium(): { url: string } | null {
    return this.#medium === null ? null : { url: this.#medium }
  }

  /** A server that is on sees another medium from its next start on. */
  async insert(url: string): Promise<void> {
    await probeMedium(url)
    this.#medium = url
  }

  async eject(): Promise<void> {
    this.#medium = null
  }

  async #do(action: MachineAction): Promise<void> {
    if (action === 'on') await this.#turnOn()
    else if (action === 'off') await this.#turnOff()
    else if (action === 'soft-off') await this.#run?.press()
    else if (this.#power === 'on') {
      await this.#turnOff()
      if (action === 'cycle') await sleep(cycleMs)
      await this.#turnOn()
    }
  }

  async #turnOn(): Promise<void> {
    if (this.#run !== null) return
    await this.#start()
    this.#power = 'on'
  }

  async #start(): Promise<void> {
    const boot = this.#boot
    const run = await this.#startQemu(this.#medium).catch(async (error: unknown) => {
      if (this.#medium === null) throw error
      // A medium that cannot be read any more is an empty drive to the server.
      this.#log(`${(error as Error).message}; starting without the medium`)
      return await this.#startQemu(null)
    })
    this.#run = run
    this.#starts += 1
    this.#log(`on: start ${this.#starts} from ${boot.device ?? "the firmware's own order"}, ${boot.firmware}`)
    // The firmware has read it: a setting for one start is used up.
    if (boot.once) this.#boot = { ...boot, device: null, once: false, httpUri: null }
    void run.ended.then(async (end) => await this.#inTurn(async () => await this.#ended(run, end)))
  }

  async #startQemu(medium: string | null): Promise<QemuRun> {
    const { device, firmware } = this.#boot
    const { monitor } = socketsOf(this.#plan.folder)
    const args = qemuArguments({
      server: this.#plan,
      uefi: await firmwareImage(this.#plan, firmware),
      device: device === 'uefi-http' ? null : device,
      medium,
      monitor,
      serialPort: this.#serialPort,
    })
    return await QemuRun.start(args, monitor)
  }

  async #turnOff(): Promise<void> {
    const run = this.#run
    this.#run = null
    await run?.cut()
    this.#power = 'off'
  }

  async #ended(run: QemuRun, end: 'reset' | 'off'): Promise<void> {
    // Turned off by the BMC, which has started it again perhaps.
    if (this.#run !== run) return
    this.#run = null
    this.#log(end === 'reset' ? 'the system has reset the server' : 'off')
    if (end === 'reset' && (await this.#restarted())) return
    this.#power = 'off'
  }

  async #restarted(): Promise<boolean> {
    this.#resets += 1
    try {
      if (this.#resets > maxResets) throw new Error(`${maxResets} resets in a row`)
      await this.#start()
      return true
    } catch (error) {
      this.#log(`off: ${(error as Error).message}`)
      return false
    }
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work)
    this.#queue = done.catch(() => undefined)
    await done
  }
}
