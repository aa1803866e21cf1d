import type { DeployProgress } from '@byoi/imaging'
import type { ProgressLine } from './progress-line.ts'

/** Over which time the rate is averaged, in ms. */
const windowMs = 10_000

/** Shows what the engine reports, with rate and time left computed here over the last seconds of its phase. */
export function engineProgress(line: ProgressLine): (progress: DeployProgress) => void {
  let phase = ''
  let samples: { at: number; bytes: number }[] = []
  return ({ phase: label, bytesDone, bytesTotal }) => {
    const at = performance.now()
    if (label !== phase || bytesDone < (samples.at(-1)?.bytes ?? 0)) samples = []
    phase = label
    samples.push({ at, bytes: bytesDone })
    while ((samples[1]?.at ?? Infinity) <= at - windowMs) samples.shift()
    const first = samples[0] ?? { at, bytes: bytesDone }
    const bytesPerSecond = at > first.at ? ((bytesDone - first.bytes) * 1000) / (at - first.at) : 0
    const known = bytesTotal !== null && bytesPerSecond > 0
    const secondsLeft = known ? Math.ceil((bytesTotal - bytesDone) / bytesPerSecond) : null
    line.show({ label, bytesDone, bytesTotal, bytesPerSecond, secondsLeft })
  }
}
