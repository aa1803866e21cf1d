import { setImmediate } from 'node:timers/promises'
import { type Fuzzer, inputOf, judge, type Outcome } from './fuzzer.ts'
import { PeakMemory } from './peak-memory.ts'

/** Most memory above the start that one input may take, in bytes. */
export const MOST_GROWTH = 64 * 1024 * 1024
/** Runs between two looks at the memory, which take time; where it grew too much, they are done again one by one. */
export const BATCH = 100
/** Runs during which the program itself still grows, so that growth is counted anew from batch to batch. */
const WARM_UP = 300
/** Kinds of refusal that are told apart. */
const MOST_KINDS = 2000

/** The run whose input the parser was wrong about. */
export interface Failure {
  seed: number
  fault: string
}

export interface Tally {
  runs: number
  accepted: number
  /** How often each sentence was the reason. */
  refused: Map<string, number>
  failures: Failure[]
}

export const emptyTally = (): Tally => ({ runs: 0, accepted: 0, refused: new Map(), failures: [] })

export interface RangeOptions {
  /** Called before each batch with its first seed. */
  onBatch?: (seed: number) => void
  /** Runs of a batch. */
  batch?: number
  /** Memory is measured, which takes the whole process: nothing else may run in it. */
  hasProcess?: boolean
}

/** Runs `count` inputs, whose seeds are `first` and those that follow it. */
export async function fuzzRange(
  fuzzer: Fuzzer,
  first: number,
  count: number,
  { onBatch, batch = BATCH, hasProcess = false }: RangeOptions = {},
): Promise<Tally> {
  const tally = emptyTally()
  const memory = hasProcess ? new PeakMemory() : null
  for (let from = first; from < first + count; from += batch) {
    onBatch?.(from)
    const to = Math.min(from + batch, first + count)
    if (from - first <= WARM_UP) memory?.reset()
    for (let seed = from; seed < to; seed++) note(tally, seed, await judge(fuzzer, inputOf(fuzzer, seed)))
    await setImmediate() // whoever started this may have gone
    if (memory === null) continue
    const { growth } = memory
    if (growth > MOST_GROWTH) await findGreedy(fuzzer, from, to, memory, tally)
    if (growth > MOST_GROWTH / 2) memory.reset()
  }
  return tally
}

function note(tally: Tally, seed: number, outcome: Outcome): void {
  tally.runs++
  if (outcome.kind === 'accepted') tally.accepted++
  else if (outcome.kind === 'fault') tally.failures.push({ seed, fault: outcome.fault })
  else if (tally.refused.size < MOST_KINDS || tally.refused.has(outcome.by)) {
    tally.refused.set(outcome.by, (tally.refused.get(outcome.by) ?? 0) + 1)
  }
}

/** Most often it was garbage of many runs: each input has to show by itself what it takes. */
async function findGreedy(
  fuzzer: Fuzzer,
  from: number,
  to: number,
  memory: PeakMemory,
  tally: Tally,
): Promise<void> {
  for (let seed = from; seed < to; seed++) {
    const input = inputOf(fuzzer, seed)
    memory.reset()
    await judge(fuzzer, input)
    const { growth } = memory
    if (growth > MOST_GROWTH)
      tally.failures.push({ seed, fault: `takes ${Math.round(growth / 2 ** 20)} MiB` })
  }
}
