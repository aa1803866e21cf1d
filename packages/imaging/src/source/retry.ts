import { setTimeout as sleep } from 'node:timers/promises'
import { cancelled, Lost } from './fault.ts'
import type { FetchLimits } from './fetch-limits.ts'
import { seconds } from './meter.ts'

export interface Retrying {
  limits: FetchLimits
  signal: AbortSignal
  onLog: (line: string) => void
  /** Called after each lost attempt; gives when things last went well, on the clock of `performance.now()`. */
  wentWellAt: () => number
}

/**
 * Runs `attempt` until it ends in something else than `Lost`, with growing pauses, as long as the budget since things
 * last went well lasts. A wait that the server asks for comes on top of the pause, so that those who were told the same
 * do not come back in the same instant; it is not taken from the budget, unless the server asks for too much of it.
 * @throws ImagingError
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  { limits, signal, onLog, wentWellAt }: Retrying,
): Promise<T> {
  let step = limits.retryFirstMs
  let asked = 0
  for (let before = wentWellAt(); ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
      const wellAt = wentWellAt()
      if (wellAt > before) {
        step = limits.retryFirstMs
        asked = 0
      }
      before = wellAt
      const wait = Math.min(error.retryAfter ?? 0, limits.retryAfterMostMs)
      const pause = wait + step * (1 - Math.random() / 2)
      asked = Math.min(asked + wait, limits.retryAfterMostMs)
      step = Math.min(step * 2, limits.retryMostMs)
      if (performance.now() + pause - wellAt > limits.retryBudgetMs + asked) throw error.asError()
      onLog(`${error.cause} Trying again in ${seconds(pause)}.`)
      await sleep(pause, undefined, { signal }).catch(() => {
        throw cancelled()
      })
    }
  }
}
