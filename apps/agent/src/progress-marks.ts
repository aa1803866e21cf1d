import type { DeployProgress } from '@byoi/imaging'
import type { Log } from './log.ts'

/** Between two marks within one phase, in ms: a slow serial console keeps up, and shows a stall soon. */
const everyMs = 10_000

/** Tells the console how far a deployment is: a line for each phase, and every ten seconds. `now` is a monotonic time in ms. */
export function progressMarks(log: Log, now = () => performance.now()): (progress: DeployProgress) => void {
  let last: { phase: string; at: number } | undefined
  return (progress) => {
    const at = now()
    if (last?.phase === progress.phase && at - last.at < everyMs) return
    last = { phase: progress.phase, at }
    log(markOf(progress))
  }
}

function markOf({ phase, bytesDone, bytesTotal }: DeployProgress): string {
  if (bytesDone === 0) return `Phase ${phase}.`
  const done = (bytesDone / 1e6).toFixed(0)
  if (bytesTotal === null) return `Phase ${phase}: ${done} MB.`
  const percent = bytesTotal === 0 ? 100 : Math.floor((bytesDone / bytesTotal) * 100)
  return `Phase ${phase}: ${done} of ${(bytesTotal / 1e6).toFixed(0)} MB, ${percent} %.`
}
