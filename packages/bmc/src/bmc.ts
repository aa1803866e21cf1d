/**
 * What byoi asks of a server's BMC: one small interface per capability. Each call may be made twice; a call that cannot
 * tell what happened throws `BmcError` with `outcome: 'unknown'`, and the caller must look before it acts again.
 */
export type PowerState = 'on' | 'off'
export type BootDevice = 'disk' | 'network' | 'rescue'

export interface PowerControl {
  readPower(signal: AbortSignal): Promise<PowerState>
  /** Idempotent: turning on a server that is on succeeds. Returns when the new state has been read back. */
  setPower(to: PowerState, signal: AbortSignal): Promise<void>
}

export interface BootControl {
  readBootDevice(signal: AbortSignal): Promise<BootDevice>
  /** Holds for the next starts until set again. Returns when it has been read back. */
  setBootDevice(to: BootDevice, signal: AbortSignal): Promise<void>
}

/** A small medium that the server finds when it starts from network or rescue: it carries the agent's boot secret. */
export interface MediaControl {
  insertMedium(content: Uint8Array, signal: AbortSignal): Promise<void>
  /** Idempotent; the content is destroyed. */
  ejectMedium(signal: AbortSignal): Promise<void>
}

export interface Bmc extends PowerControl, BootControl, MediaControl {
  /** Releases sessions and handles; the server's state stays as it is. */
  close(): Promise<void>
}

/** `refused`: certain that nothing was done. `unknown`: it may have been done. */
export class BmcError extends Error {
  readonly outcome: 'refused' | 'unknown'
  readonly remedy: string

  constructor(message: string, options: { outcome: 'refused' | 'unknown'; remedy: string; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.name = 'BmcError'
    this.outcome = options.outcome
    this.remedy = options.remedy
  }
}
