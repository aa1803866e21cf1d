/**
 * What byoi asks of a server's BMC: one small interface per capability. Each call may be made twice; a call that cannot
 * tell what happened throws `BmcError` with `outcome: 'unknown'`, and the caller must look before it acts again.
 */
export type PowerState = 'on' | 'off'
/** `network`: the firmware's network boot. `cd`: the BMC's virtual CD. */
export type BootDevice = 'disk' | 'network' | 'cd'
/** How a server's firmware boots; part of each boot override, because a BMC may otherwise fall back to the other one. */
export type Firmware = 'uefi' | 'legacy'

export interface PowerControl {
  readPower(signal: AbortSignal): Promise<PowerState>
  /** Idempotent: turning on a server that is on succeeds. Returns when the new state has been read back. */
  setPower(to: PowerState, signal: AbortSignal): Promise<void>
}

export interface BootControl {
  /** null: nothing is set, and the firmware follows its own boot order. */
  readBootDevice(signal: AbortSignal): Promise<BootDevice | null>
  /**
   * Where the next start boots from; null leaves it to the firmware's own boot order again. Holds for one start at least. To
   * be called while the server is off or about to be turned off. Returns when it has been read back, or throws.
   */
  setBootDevice(to: BootDevice | null, signal: AbortSignal): Promise<void>
}

/** A CD that the BMC shows to the server, read by the BMC from a URL while the server uses it. */
export interface VirtualMedia {
  /** Replaces whatever is inserted. `url` is plain (no query), ends in `.iso`. Returns when it reads as inserted. */
  insertMedia(url: string, signal: AbortSignal): Promise<void>
  /** Idempotent. To be called while the server is off. */
  ejectMedia(signal: AbortSignal): Promise<void>
}

/** A small file that a file-backed server finds when it starts from the network: its agent's boot medium. */
export interface LocalMedium {
  insertMedium(content: Uint8Array, signal: AbortSignal): Promise<void>
  /** Idempotent; the content is destroyed. */
  ejectMedium(signal: AbortSignal): Promise<void>
}

/** The server's serial console. A BMC has room for one reader at a time. */
export interface SerialConsole {
  /** Opens the console, ending a session that nobody uses any more. Throws `BmcError` when it is in use elsewhere. */
  openConsole(signal: AbortSignal): Promise<ConsoleSession>
}

export interface ConsoleSession {
  /** Bytes from the server, until the session is closed by either side; throws `BmcError` when it breaks. */
  readonly output: AsyncIterable<Uint8Array>
  /** Sends bytes to the server. What would be a command to the console's own program is kept from it. */
  write(input: Uint8Array): Promise<void>
  close(): Promise<void>
}

export interface BmcIdentity {
  vendor: string | null
  model: string | null
  /** Release of the BMC's firmware. */
  firmware: string | null
  /** Serial number of the server. */
  serial: string | null
  /** What an operator should put right, a sentence or two each, such as a login without a password. */
  weaknesses: string[]
}

export interface Bmc extends PowerControl, BootControl {
  /** Changes nothing on the server or its BMC. */
  identify(signal: AbortSignal): Promise<BmcIdentity>
  /** null: it has none, or none that byoi can use. */
  readonly virtualMedia: VirtualMedia | null
  readonly localMedium: LocalMedium | null
  readonly console: SerialConsole | null
  /** Releases sessions and handles; the server's state stays as it is. */
  close(): Promise<void>
}

/** Time as the drivers see it, so that tests can let hours pass. */
export interface Clock {
  /** ms, monotonic. */
  now(): number
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/**
 * `unreachable`: nothing answered, or the answer never ended. `busy`: it said that it cannot now. `authentication`: it does not
 * take the user or password. `identity`: it is not the BMC that was enrolled, or sends us elsewhere; no credentials were sent.
 * `garbled`: its answer cannot be understood. `refused`: it understood and will not. `not-done`: it said yes, and reading back
 * says no. `in-use`: somebody else has the console.
 */
export type BmcFault =
  | 'unreachable'
  | 'busy'
  | 'authentication'
  | 'identity'
  | 'garbled'
  | 'refused'
  | 'not-done'
  | 'in-use'

/** `outcome` `refused`: certain that nothing was done. `unknown`: it may have been done. */
export class BmcError extends Error {
  readonly fault: BmcFault
  readonly outcome: 'refused' | 'unknown'
  readonly remedy: string

  /** `message` and `remedy` are one sentence each and hold nothing secret: they are shown to operators and customers. */
  constructor(
    message: string,
    options: { fault: BmcFault; outcome: 'refused' | 'unknown'; remedy: string; cause?: unknown },
  ) {
    super(message, { cause: options.cause })
    this.name = 'BmcError'
    this.fault = options.fault
    this.outcome = options.outcome
    this.remedy = options.remedy
  }
}
