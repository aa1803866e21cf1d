import { type PowerState } from '../bmc.ts'
import { type BootSetting, type Machine, type MachineAction, type MachineIdentity } from './machine.ts'

/** A start of the machine: what its firmware was told, and the CD that it found. */
export interface Start {
  boot: BootSetting
  medium: string | null
}

const identity: MachineIdentity = {
  uuid: '6ba7b810-9dad-41d1-80b4-00c04fd430c8',
  manufacturer: 'byoi',
  model: 'memory machine',
  serial: 'SIM0001',
}

/** A machine that is nothing but its state; it remembers what was done to it. */
export class MemoryMachine implements Machine {
  readonly identity: MachineIdentity
  /** All that its BMC was told to do with its power, in order. */
  readonly actions: MachineAction[] = []
  readonly starts: Start[] = []
  #power: PowerState = 'off'
  #boot: BootSetting = { device: null, once: false, firmware: 'uefi', httpUri: null }
  #medium: string | null = null

  constructor(options: { identity?: MachineIdentity } = {}) {
    this.identity = options.identity ?? identity
  }

  async power(): Promise<PowerState> {
    return this.#power
  }

  async act(action: MachineAction): Promise<void> {
    this.actions.push(action)
    if (action === 'off' || action === 'soft-off') {
      this.#power = 'off'
    } else if (action === 'on' ? this.#power === 'off' : this.#power === 'on') {
      this.#start()
    }
  }

  boot(): BootSetting {
    return this.#boot
  }

  async setBoot(setting: BootSetting): Promise<void> {
    this.#boot = setting
  }

  medium(): { url: string } | null {
    return this.#medium === null ? null : { url: this.#medium }
  }

  async insert(url: string): Promise<void> {
    this.#medium = url
  }

  async eject(): Promise<void> {
    this.#medium = null
  }

  #start(): void {
    this.#power = 'on'
    this.starts.push({ boot: this.#boot, medium: this.#medium })
    if (this.#boot.once) this.#boot = { ...this.#boot, device: null, once: false, httpUri: null }
  }
}
