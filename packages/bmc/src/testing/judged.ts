import { BmcError, type Clock } from '../bmc.ts'
import { type BmcCall, judge } from '../judge.ts'

/** ms between tries of a workflow's step; when they are used up, the step has failed. */
const retryMs = [1000, 2000, 4000, 8000, 15_000, 30_000]

export interface Judged {
  /** `fail`: the deployment ends in error. `hold`: an operator must look. */
  ends: 'done' | 'fail' | 'hold'
  tries: number
  /** Of the last try that failed. */
  error: BmcError | null
  /** ms of the clock that the longest try took. */
  longest: number
}

/** Runs one call of a driver as the workflow does: `judge` decides about each failure. Other errors than `BmcError` are thrown. */
export async function judged(call: BmcCall, run: () => Promise<unknown>, clock: Clock): Promise<Judged> {
  let [error, longest]: [BmcError | null, number] = [null, 0]
  for (let tries = 1; ; tries++) {
    const began = clock.now()
    const failed = await run().then(
      () => null,
      (thrown: unknown) => {
        if (thrown instanceof BmcError) return thrown
        throw thrown
      },
    )
    longest = Math.max(longest, clock.now() - began)
    if (failed === null) return { ends: 'done', tries, error, longest }
    error = failed
    const verdict = judge(call, failed)
    const wait = verdict.tries === 'budget' || tries < verdict.tries ? retryMs[tries - 1] : undefined
    if (wait === undefined) return { ends: verdict.afterwards, tries, error, longest }
    await clock.sleep(wait, new AbortController().signal)
  }
}
