import type { Progress, Report } from '@byoi/contract'
import type { DeployProgress } from '@byoi/imaging'
import { pause } from './backoff.ts'
import type { ControlPlane } from './control-plane-client.ts'
import { Rate } from './rate.ts'

/** What one report takes, by the protocol. */
const linesPerReport = 100
const longestLine = 1024
/** What is kept while the control plane is away; the oldest lines go first. */
const linesKept = 1000

export type Outcome = Exclude<Report['outcome'], null>

/** Tells the control plane how an order gets on. Progress replaces older progress; log lines queue up. */
export interface Reporter {
  progress(progress: DeployProgress): void
  log(line: string): void
  /** Stops the regular reports and repeats the final one until it is heard. Rejects as `ControlPlane.report` does. */
  finish(outcome: Outcome): Promise<void>
}

/**
 * Reports at once, at each new phase, and as often as the lease says. When a report rejects (the epoch is over, or the control plane is
 * lost for good), `onDismissed` is called once and nothing more is reported.
 */
export function startReporter(
  control: ControlPlane,
  signal: AbortSignal,
  onDismissed: (why: unknown) => void,
): Reporter {
  const lines: string[] = []
  let newest: DeployProgress | null = null
  let rate = new Rate()
  /** Aborted at a new phase, so that the next report does not wait. */
  let waiting = new AbortController()
  const finishing = new AbortController()
  const untilFinish = AbortSignal.any([signal, finishing.signal])

  const send = async (outcome: Report['outcome']) => {
    const progress = newest === null ? null : measured(newest, rate)
    await control.report({
      epoch: control.lease.epoch,
      progress,
      log: lines.splice(0, linesPerReport),
      outcome,
    })
  }

  const regularly = async () => {
    try {
      for (;;) {
        waiting = new AbortController()
        await send(null)
        await untilWoken(waiting.signal)
      }
    } catch (error) {
      if (!untilFinish.aborted) onDismissed(error)
    }
  }
  const untilWoken = async (woken: AbortSignal) => {
    try {
      await pause(control.lease.reportEveryMs, AbortSignal.any([untilFinish, woken]))
    } catch (error) {
      if (untilFinish.aborted) throw error
    }
  }
  const loop = regularly()

  return {
    progress: (progress) => {
      const before = newest
      newest = progress
      if (before !== null && isNewCount(before, progress)) rate = new Rate()
      rate.add(performance.now(), progress.bytesDone)
      if (before?.phase !== progress.phase) waiting.abort()
    },
    log: (line) => {
      lines.push(line.slice(0, longestLine))
      if (lines.length > linesKept) lines.shift()
    },
    finish: async (outcome) => {
      finishing.abort()
      await loop
      signal.throwIfAborted()
      while (lines.length > linesPerReport) await send(null)
      await send(outcome)
    },
  }
}

/** Each phase counts its own bytes, and a stream that begins again counts anew. */
const isNewCount = (before: DeployProgress, now: DeployProgress): boolean =>
  before.phase !== now.phase || now.bytesDone < before.bytesDone

function measured(progress: DeployProgress, rate: Rate): Progress {
  const { phase, bytesDone, bytesTotal } = progress
  const bytesPerSecond = rate.bytesPerSecond()
  const known = bytesTotal !== null && bytesPerSecond > 0
  const secondsLeft = known ? Math.ceil(Math.max(0, bytesTotal - bytesDone) / bytesPerSecond) : null
  return { phase, bytesDone, bytesTotal, bytesPerSecond, secondsLeft }
}
