import type { DeployOptions, DeployPhase } from '../deploy-image.types.ts'

/** Calls back at most this often within a phase, in ms. */
const INTERVAL = 250

/** Tells the caller where the deployment is: each phase at once, its bytes a few times a second. */
export class Reporter {
  readonly #options: Pick<DeployOptions, 'onProgress' | 'onLog'>
  #phase: DeployPhase | null = null
  #lastAt = 0
  #lastDone = 0

  constructor(options: Pick<DeployOptions, 'onProgress' | 'onLog'>) {
    this.#options = options
  }

  progress(phase: DeployPhase, bytesDone = 0, bytesTotal: number | null = null): void {
    const now = performance.now()
    const isLast = bytesDone === bytesTotal && bytesDone !== this.#lastDone
    if (phase === this.#phase && !isLast && now - this.#lastAt < INTERVAL) return
    this.#phase = phase
    this.#lastDone = bytesDone
    this.#lastAt = now
    this.#options.onProgress?.({ phase, bytesDone, bytesTotal })
  }

  log(line: string): void {
    this.#options.onLog?.(line)
  }
}
