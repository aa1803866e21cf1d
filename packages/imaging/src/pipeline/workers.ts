import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { ImagingError, internalError } from '../error.ts'
import type { Answer, Done, Job, WorkerSetup } from './jobs.ts'

/** One job running and one waiting, so that a worker never idles between two. */
const JOBS_PER_WORKER = 2
/** A disk that stalls for a while goes on; one that answers nothing for this long is given up. */
const STALL_MS = 10 * 60_000
/** How long a thread may take to end; a system call in it cannot be interrupted. */
const HANG_MS = 30_000

interface Running {
  resolve(done: Done): void
  reject(error: Error): void
  stall: NodeJS.Timeout
}

interface Seat {
  worker: Worker
  /** In the order in which the worker answers. */
  running: Running[]
}

/** The threads that decode, write and read back. Jobs are answered in no particular order. */
export class Workers {
  readonly #seats: Seat[]
  #failure: Error | null = null

  private constructor(seats: Seat[]) {
    this.#seats = seats
    for (const seat of seats) this.#listen(seat)
  }

  /** Starts `count` threads and waits until all run. */
  static async start(setup: WorkerSetup, count: number): Promise<Workers> {
    const seats = Array.from({ length: count }, () => ({
      worker: startThread(setup),
      running: [],
    }))
    const workers = new Workers(seats)
    await Promise.all(seats.map(({ worker }) => once(worker, 'online')))
    return workers
  }

  /** Whether `run` would find a place. */
  get hasRoom(): boolean {
    return this.#seats.some(({ running }) => running.length < JOBS_PER_WORKER)
  }

  /** How many jobs may be under way at once. */
  get places(): number {
    return this.#seats.length * JOBS_PER_WORKER
  }

  /**
   * Hands a job to the thread with the fewest; returns the bytes that it wrote or read. Rejects with an ImagingError.
   * Among equals the last is taken, since the first has the digest as well.
   */
  async run(job: Exclude<Job, { kind: 'digest' }>): Promise<number> {
    const seat = this.#seats.reduce((best, other) =>
      other.running.length <= best.running.length ? other : best,
    )
    return (await this.#send(seat, job)).bytes
  }

  /** The digest is one chain, so all of it goes to the first thread, beside what else that does. */
  digest(job: Job & { kind: 'digest' }): Promise<Done> {
    return this.#send(this.#seats[0] as Seat, job)
  }

  #send(seat: Seat, job: Job): Promise<Done> {
    const failure = this.#failure
    if (failure) return Promise.reject(failure)
    return new Promise((resolve, reject) => {
      const stall = setTimeout(() => this.fail(stalled()), STALL_MS)
      seat.running.push({ resolve, reject, stall })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      seat.worker.postMessage(job)
    })
  }

  /**
   * Ends the threads; what they are doing is not completed. Returns true once they have ended, after which nothing is
   * written any more, or false where one still hangs in the disk: then the disk must not be closed under it.
   */
  async close(): Promise<boolean> {
    this.fail(
      new ImagingError('CANCELLED', { cause: 'The disk writers were stopped.', remedy: 'Start again.' }),
    )
    const ended = Promise.all(this.#seats.map(({ worker }) => worker.terminate())).then(() => true)
    return Promise.race([ended, sleep(HANG_MS, false, { ref: false })])
  }

  #listen(seat: Seat): void {
    seat.worker.on('message', (answer: Answer) => {
      const running = seat.running.shift()
      clearTimeout(running?.stall)
      if ('bytes' in answer) running?.resolve(answer)
      else running?.reject(new ImagingError(answer.failure.code, answer.failure))
    })
    seat.worker.on('error', (error) => this.fail(internalError('A disk writer stopped', error)))
  }

  /** Makes every job, under way or to come, end in `error`. */
  fail(error: Error): void {
    this.#failure ??= error
    for (const seat of this.#seats) {
      for (const running of seat.running.splice(0)) {
        clearTimeout(running.stall)
        running.reject(this.#failure)
      }
    }
  }
}

const isSource = import.meta.url.endsWith('.ts')

/** Where this module is part of a bundle, that of `worker.ts` lies beside it under this name. */
const threadEntry = new URL(isSource ? './worker.ts' : './worker.mjs', import.meta.url)

/** A thread with little memory of its own: the bulk lives in the shared buffers. */
function startThread(workerData: WorkerSetup): Worker {
  const resourceLimits = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 }
  return new Worker(threadEntry, {
    workerData,
    resourceLimits,
    env: threadEnvironment(),
  })
}

/**
 * A thread that runs TypeScript as it is needs 10 MiB for the compiler that strips the types, unless it finds its modules
 * in Node's compile cache. The cache is kept beside the modules; where that cannot be written, Node does without.
 */
function threadEnvironment(): NodeJS.ProcessEnv {
  if (!isSource) return process.env
  const cache = fileURLToPath(new URL('../../../../node_modules/.cache/node', import.meta.url))
  return { NODE_COMPILE_CACHE: cache, ...process.env }
}

function stalled(): ImagingError {
  return new ImagingError('TIMEOUT', {
    cause: `The disk answered nothing for ${STALL_MS / 60_000} minutes.`,
    remedy: 'Check the disk, its cabling and its controller.',
  })
}
