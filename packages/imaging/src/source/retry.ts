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
 * last went well lasts.
 * @throws ImagingError
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  { limits, signal, onLog, wentWellAt }: Retrying,
): Promise<T> {
  let step = limits.retryFirstMs
  for (let before = wentWellAt(); ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
      const wellAt = wentWellAt()
      if (wellAt > before) step = limits.retryFirstMs
      before = wellAt
      const pause = Math.max(
        step * (1 - Math.random() / 2),
        Math.min(error.retryAfter ?? 0, limits.retryAfterMostMs),
      )
      step = Math.min(step * 2, limits.retryMostMs)
      if (performance.now() + pause - wellAt > limits.retryBudgetMs) throw error.asError()
      onLog(`${error.cause} Trying again in ${seconds(pause)}.`)
      await sleep(pause, undefined, { signal }).catch(() => {
        throw cancelled()
      })
    }
  }
}
