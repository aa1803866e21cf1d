import { type Bmc, type BmcIdentity, type Timekeeper } from '@byoi/bmc'
import { type AgentBoot, type Secret, type ServerIdentity } from '@byoi/contract'
import { type DiskGroup } from '../http/ports.ts'

/** Settings of a BMC as they are stored: nothing secret. What they must hold depends on the kind. */
export type Settings = Record<string, string | number | boolean>

/** What a kind of BMC needs to know of a server, be it stored or about to be. */
export interface BmcServer {
  serviceName: string
  boot: 'uefi' | 'legacy'
  settings: Settings
  password: Secret | null
  diskGroups: DiskGroup[]
  agentBoot: AgentBoot | null
}

export interface BmcEnvironment {
  /** Directory in which each file-backed server that is added gets a directory for its state. */
  servers: string
  agentCommand: readonly string[]
  /** All of the environment that agents on this machine get. */
  agentEnvironment: Record<string, string>
  /** By which drivers wait. */
  clock: Timekeeper
}

/** A server whose BMC has been tried: what is stored of it. */
export interface Enrolled {
  settings: Settings
  identity: ServerIdentity | null
}

/** What depends on the kind of a server's BMC. A kind is a file of this folder. */
export interface BmcKind {
  /** The BMC of a server whose settings were checked when it was enrolled. Throws `CannotWork` when they cannot be used. */
  open(environment: BmcEnvironment, server: BmcServer): Bmc
  /**
   * Checks what a new or changed server says of its BMC, and tries the BMC. Changes nothing on it. Throws `CannotWork`, or
   * `BmcError` when the BMC does not do what is asked.
   */
  enrol(environment: BmcEnvironment, server: BmcServer, signal: AbortSignal): Promise<Enrolled>
  /** What no two servers may share: enrolled settings, spelled in one way, that only one server may have. */
  resource(settings: Settings): { what: string; settings: Settings }
  /** Looks at what else the server needs. Throws `CannotWork`. */
  check?(server: BmcServer): Promise<void>
}

/** Why a server cannot be used as it is described: one sentence or two, shown to operators. */
export class CannotWork extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'CannotWork'
  }
}

/** The identity without the weaknesses, which are for `check`. */
export const shownIdentity = ({ vendor, model, firmware, serial }: BmcIdentity): ServerIdentity => ({
  vendor,
  model,
  firmware,
  serial,
})

/** Refuses settings that the kind does not have. */
export function onlySettings(settings: Settings, names: readonly string[]): void {
  const unknown = Object.keys(settings).filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new CannotWork(`The BMC has no setting ${unknown.join(', ')}.`)
}

/** A text of the settings; undefined where it is absent. Throws `CannotWork` when it does not match. */
export function textSetting(
  settings: Settings,
  name: string,
  form: RegExp,
  must: string,
): string | undefined {
  const value = settings[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !form.test(value))
    throw new CannotWork(`The setting ${name} must ${must}.`)
  return value
}

/** A whole number of the settings within a range. */
export function numberSetting(
  settings: Settings,
  name: string,
  [least, most]: readonly [number, number],
): number | undefined {
  const value = settings[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new CannotWork(`The setting ${name} must be a whole number from ${least} to ${most}.`)
  }
  return value
}

/** The value of a setting that must be there. */
export function needed<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new CannotWork(`The setting ${name} is missing.`)
  return value
}
