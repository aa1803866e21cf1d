import { type Firmware, type PowerState } from '../bmc.ts'

export interface MachineIdentity {
  uuid: string
  manufacturer: string
  model: string
  serial: string
}

/** `cycle`: off, a moment without power, and on again. `soft-off`: the operating system is asked to turn itself off. */
export type MachineAction = 'on' | 'off' | 'soft-off' | 'reset' | 'cycle'

export interface BootSetting {
  /** null: the firmware's own order. */
  device: 'disk' | 'network' | 'cd' | 'uefi-http' | null
  /** Holds for the next start only. */
  once: boolean
  firmware: Firmware
  /** What `uefi-http` fetches. */
  httpUri: string | null
}

/** A server as its BMC sees it: QEMU in the lab, memory in tests. */
export interface Machine {
  readonly identity: MachineIdentity
  power(): Promise<PowerState>
  /** Turning on what is on, and off what is off, changes nothing. */
  act(action: MachineAction): Promise<void>
  boot(): BootSetting
  setBoot(setting: BootSetting): Promise<void>
  /** The virtual CD. */
  medium(): { url: string } | null
  insert(url: string): Promise<void>
  /** Idempotent. */
  eject(): Promise<void>
}
