import { type Clock } from '../bmc.ts'

/** What this process knows of a BMC. */
export interface Known {
  /** How a session with it was opened last. */
  cipherSuite?: 17 | 3
  privilege?: 'ADMINISTRATOR' | 'OPERATOR'
  /** IANA enterprise number. */
  manufacturer?: number
  /** Whether this process has the BMC's one place for a serial console. */
  consoleOpen?: boolean
}

/**
 * The way to one BMC. Commands of this process go through it one at a time and `intervalMs` apart, whoever sends them: BMCs
 * have few sessions, and some crash when they are asked faster.
 */
export class Lane {
  readonly known: Known = {}
  /** Counts the BMCs of this process, from 0. */
  readonly index: number
  #tail: Promise<void> = Promise.resolve()
  #freeAt = Number.NEGATIVE_INFINITY

  constructor(index: number) {
    this.index = index
  }

  /** Runs `work` alone. An abort leaves the queue with the signal's reason. */
  async turn<T>(clock: Clock, intervalMs: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#tail
    const mine = Promise.withResolvers<void>()
    this.#tail = before.then(() => mine.promise)
    try {
      await orAborted(before, signal)
      const wait = this.#freeAt - clock.now()
      if (wait > 0) await clock.sleep(wait, signal)
      try {
        return await work()
      } finally {
        this.#freeAt = clock.now() + intervalMs
      }
    } finally {
      mine.resolve()
    }
  }
}

const lanes = new Map<string, Lane>()

/** The same for all drivers and consoles of this process that talk to the same address. */
export function laneTo(host: string, port: number): Lane {
  const key = `${host}:${port}`
  const lane = lanes.get(key) ?? new Lane(lanes.size)
  lanes.set(key, lane)
  return lane
}

async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
