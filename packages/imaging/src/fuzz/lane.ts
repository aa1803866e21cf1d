/** A process of its own that runs what it is told to: a parser that hangs or dies takes nothing else with it. */
import { BATCH, fuzzRange, type Tally } from './fuzz-range.ts'
import { fuzzers } from './fuzzers.ts'

/** Seeds from `first` on. */
export interface Job {
  parser: string
  first: number
  count: number
  /** Says before each run which it is, since one of them ends the process. */
  isCareful: boolean
}

/** That all before `seed` have ended, and what came of all of them. */
export type LaneMessage = { kind: 'at'; seed: number } | { kind: 'done'; tally: Tally }

/** Between two messages about progress, in ms. */
const TOLD_EVERY = 200

process.on('message', (job: Job) => void run(job))
process.on('disconnect', () => process.exit())

async function run({ parser, first, count, isCareful }: Job): Promise<void> {
  const fuzzer = fuzzers[parser]
  if (fuzzer === undefined) throw new TypeError(`no parser is named ${parser}`)
  let told = Number.NEGATIVE_INFINITY
  const onBatch = (seed: number) => {
    if (!isCareful && performance.now() - told < TOLD_EVERY) return
    told = performance.now()
    process.send?.({ kind: 'at', seed } satisfies LaneMessage)
  }
  const tally = await fuzzRange(fuzzer, first, count, {
    onBatch,
    batch: isCareful ? 1 : BATCH,
    hasProcess: true,
  })
  process.send?.({ kind: 'done', tally } satisfies LaneMessage)
}
