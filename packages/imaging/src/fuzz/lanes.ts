import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { emptyTally, type Failure, type Tally } from './fuzz-range.ts'
import type { Job, LaneMessage } from './lane.ts'

/** A lane that says nothing for so long, in ms, hangs: what it does takes two seconds at most, and other programs have the CPU too. */
const SILENCE = 120_000
/** Runs of a job: enough that starting one does not count, and few enough that all lanes end together. */
const JOB = 10_000
/** Failures of one parser after which it is not fuzzed on. */
const ENOUGH = 50

export interface LanesOptions {
  parsers: readonly string[]
  first: number
  runs: number
  lanes: number
  /** What came of a job. */
  onTally: (parser: string, tally: Tally, ms: number) => void
}

/** Runs all parsers in so many processes; each job is done once. */
export async function runLanes({ parsers, first, runs, lanes, onTally }: LanesOptions): Promise<void> {
  const jobs = parsers.flatMap((parser) =>
    Array.from({ length: Math.ceil(runs / JOB) }, (_, index): Job => {
      const done = index * JOB
      return { parser, first: first + done, count: Math.min(JOB, runs - done), isCareful: false }
    }),
  )
  const failed = new Map<string, number>()
  const work = async (): Promise<void> => {
    using lane = new Lane()
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const soFar = failed.get(job.parser) ?? 0
      if (soFar >= ENOUGH) continue
      const began = performance.now()
      const tally = await finish(lane, job)
      failed.set(job.parser, soFar + tally.failures.length)
      onTally(job.parser, tally, performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: lanes }, work))
}

/** What of a job was not done when the lane died or fell silent, it does again, run by run, and then goes on behind the culprit. */
async function finish(lane: Lane, job: Job): Promise<Tally> {
  const whole = emptyTally()
  let left = job
  for (;;) {
    const { tally, died, at } = await lane.run(left)
    if (tally) {
      add(whole, tally)
      return whole
    }
    const end = left.first + left.count
    if (left.isCareful) {
      add(whole, {
        ...emptyTally(),
        runs: at - left.first + 1,
        failures: [{ seed: at, fault: died }] satisfies Failure[],
      })
      left = { ...left, first: at + 1, count: end - at - 1 }
      if (left.count === 0 || whole.failures.length >= ENOUGH) return whole
    } else left = { ...left, first: at, count: end - at, isCareful: true }
  }
}

function add(whole: Tally, part: Tally): void {
  whole.runs += part.runs
  whole.accepted += part.accepted
  for (const [by, count] of part.refused) whole.refused.set(by, (whole.refused.get(by) ?? 0) + count)
  whole.failures.push(...part.failures)
}

/** One process at a time; a new one where the last has died. */
class Lane {
  #child: ChildProcess | null = null

  /** `died` and `at`: how the process ended where there is no tally, and by which seed. */
  async run(job: Job): Promise<{ tally: Tally | null; died: string; at: number }> {
    const child = (this.#child ??= fork(join(import.meta.dirname, 'lane.ts'), {
      execArgv: ['--expose-gc', '--max-semi-space-size=4'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }))
    const { promise, resolve } = Promise.withResolvers<{ tally: Tally | null; died: string }>()
    let at = job.first
    const giveUp = () => {
      child.kill('SIGKILL')
      resolve({ tally: null, died: `does not end within ${SILENCE / 1000} s` })
    }
    let timer = setTimeout(giveUp, SILENCE)
    const onMessage = (message: LaneMessage) => {
      clearTimeout(timer)
      if (message.kind === 'done') return resolve({ tally: message.tally, died: '' })
      at = message.seed
      timer = setTimeout(giveUp, SILENCE)
    }
    const onExit = (status: number | null, signal: string | null) =>
      resolve({ tally: null, died: `ends the process (${signal ?? status})` })
    child.on('message', onMessage)
    child.once('exit', onExit)
    child.send(job)
    const outcome = await promise
    clearTimeout(timer)
    child.off('message', onMessage)
    child.off('exit', onExit)
    if (outcome.tally === null) this.#child = null
    return { ...outcome, at }
  }

  [Symbol.dispose](): void {
    this.#child?.kill()
  }
}
