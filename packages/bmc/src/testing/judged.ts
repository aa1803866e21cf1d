import { BmcError, type Clock } from '../bmc.ts'
import { type BmcCall, judge } from '../judge.ts'

/** ms between tries of a workflow's step; when they are used up, the step has failed. */
const retryMs = [1000, 2000, 4000, 8000, 15_000, 30_000]

export interface Judged {
  /** `fail`: the deployment ends in error. `hold`: an operator must look. */
  ends: 'done' | 'fail' | 'hold'
  tries: number
  /** Of the last try; null: it succeeded. */
  error: BmcError | null
  /** ms of the clock that the longest try took. */
  longest: number
}

export interface Attempt<Bmc> {
  clock: Clock
  /** A driver for one try, as the workflow opens one for each look at a deployment. */
  open: () => Bmc
  use: (bmc: Bmc) => Promise<unknown>
}

/** Makes one call of a driver as the workflow does: `judge` decides about each failure. Other errors than `BmcError` are thrown. */
export async function judged<Bmc extends { close: () => Promise<void> }>(
  call: BmcCall,
  { clock, open, use }: Attempt<Bmc>,
): Promise<Judged> {
  let longest = 0
  for (let tries = 1; ; tries++) {
    const bmc = open()
    const began = clock.now()
    const error = await failureOf(use(bmc))
    longest = Math.max(longest, clock.now() - began)
    await bmc.close()
    if (error === null) return { ends: 'done', tries, error, longest }
    const verdict = judge(call, error)
    const wait = verdict.tries === 'budget' || tries < verdict.tries ? retryMs[tries - 1] : undefined
    if (wait === undefined) return { ends: verdict.afterwards, tries, error, longest }
    await clock.sleep(wait, new AbortController().signal)
  }
}

async function failureOf(running: Promise<unknown>): Promise<BmcError | null> {
  try {
    await running
    return null
  } catch (error) {
    if (error instanceof BmcError) return error
    throw error
  }
}
