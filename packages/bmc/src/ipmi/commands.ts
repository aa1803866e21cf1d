import { realClock, type Timekeeper } from '../clock.ts'
import { checkIpmiOptions, type IpmiOptions } from './ipmi-options.ts'
import { type IpmitoolRun, type RunIpmitool, runIpmitoolFor, type SessionWish } from './ipmitool.ts'
import { type Known, type Lane, laneTo } from './lane.ts'
import { IpmiFailure, type Meaning } from './ipmi-failure.ts'
import { garbled, hadSession, meaningOf } from './meaning.ts'

/** How long a command is tried again, and the pause before each further try, in ms. */
const retryMs = 60_000
export const pauseMs = 5000
/** ipmitool gives up on a BMC that never answers after 36 s; one that falls silent later is not waited for longer. */
const runMs = 40_000
const leastRunMs = 1000
/** Whoever is willing says so soon. */
const probeMs = 10_000

/** What a call of the driver is bounded by. */
export interface Call {
  signal: AbortSignal
  /** Time of the clock, in ms, by which the call ends. */
  until: number
}

/** What is left to try for one command. */
interface Attempts {
  suites: (17 | 3)[]
  privilege: SessionWish['privilege']
  mayRepeat: boolean
  /** No further try begins after it. */
  until: number
}

/** Commands to one BMC, each in a session of its own, tried again where that is of use. */
export class IpmiCommands {
  readonly options: IpmiOptions
  readonly clock: Timekeeper
  readonly #lane: Lane
  readonly #run: RunIpmitool

  /** Throws an Error with one sentence when the options cannot work. */
  constructor(options: IpmiOptions, run?: RunIpmitool) {
    checkIpmiOptions(options)
    this.options = options
    this.clock = options.clock ?? realClock
    this.#lane = laneTo(options.host, options.port)
    this.#run = run ?? runIpmitoolFor(options, this.clock, this.#lane.index)
  }

  get known(): Known {
    return this.#lane.known
  }

  /** Of the BMC among those of this process. */
  get index(): number {
    return this.#lane.index
  }

  /**
   * Sends a command and returns what `says` found in its output. Throws `IpmiFailure`; its outcome is `unknown` when any of the
   * tries may have been carried out. `atMostOnce`: after such a try there is no other.
   */
  async send(
    command: readonly string[],
    says: RegExp,
    call: Call,
    { atMostOnce = false } = {},
  ): Promise<RegExpExecArray> {
    const attempts = this.#attempts(call)
    let unsure = false
    for (;;) {
      const session = this.#session(attempts)
      const run = await this.turn(call.signal, () => this.#runFor(command, session, call))
      if (hadSession(run)) this.#remember(session)
      const found = run.status === 0 ? says.exec(run.stdout) : null
      if (found !== null) return found
      const meaning = run.status === 0 ? garbled('The answer of the BMC has no meaning.') : meaningOf(run)
      unsure ||= meaning.outcome === 'unknown'
      const final = atMostOnce && unsure
      if (final || !(await this.#again(meaning, attempts, call.signal))) {
        throw new IpmiFailure({ ...meaning, outcome: unsure ? 'unknown' : 'refused' })
      }
    }
  }

  /** Whether the BMC carries out a command in a session that it should not give. Tried once. */
  async accepts(command: readonly string[], session: SessionWish, signal: AbortSignal): Promise<boolean> {
    const run = await this.turn(signal, () => this.#run(command, session, probeMs, signal))
    return run.status === 0
  }

  /** Runs `work` while nothing else of this process talks to the BMC. */
  turn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#lane.turn(this.clock, this.options.commandIntervalMs, signal, work)
  }

  /** The session that worked last. */
  lastSession(): SessionWish {
    return this.#session(this.#attempts())
  }

  #session({ suites: [cipherSuite = 3], privilege }: Pick<Attempts, 'suites' | 'privilege'>): SessionWish {
    return { cipherSuite, privilege, password: this.options.password }
  }

  #remember({ cipherSuite, privilege }: SessionWish): void {
    if (cipherSuite !== 0) Object.assign(this.known, { cipherSuite, privilege })
  }

  #attempts(call?: Call): Attempts {
    const { cipherSuite } = this.options
    const offered = cipherSuite === null ? ([17, 3] as const) : [cipherSuite]
    const best = offered.filter((each) => each === this.known.cipherSuite)
    const until = this.clock.now() + retryMs
    return {
      suites: [...best, ...offered.filter((each) => !best.includes(each))],
      privilege: this.known.privilege ?? 'ADMINISTRATOR',
      mayRepeat: true,
      until: call === undefined ? until : Math.min(until, call.until),
    }
  }

  #runFor(command: readonly string[], session: SessionWish, { signal, until }: Call): Promise<IpmitoolRun> {
    const timeoutMs = Math.max(leastRunMs, Math.min(runMs, until - this.clock.now()))
    return this.#run(command, session, timeoutMs, signal)
  }

  /** False when there is nothing left to try. */
  async #again({ retry }: Meaning, attempts: Attempts, signal: AbortSignal): Promise<boolean> {
    switch (retry) {
      case 'cipher-suite':
        attempts.suites.shift()
        return attempts.suites.length > 0
      case 'privilege':
        if (attempts.privilege === 'OPERATOR') return false
        attempts.privilege = 'OPERATOR'
        return true
      case 'once':
        if (!attempts.mayRepeat) return false
        attempts.mayRepeat = false
        break
      case 'later':
        break
      case 'state':
      case 'console':
      case 'never':
      case 'unsupported':
        return false
    }
    if (this.clock.now() + pauseMs > attempts.until) return false
    await this.clock.sleep(pauseMs, signal)
    return true
  }
}
