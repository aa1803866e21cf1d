import { type BmcError } from './bmc.ts'

/** A call on a BMC, by what depends on it. */
export type BmcCall = 'read-power' | 'set-boot' | 'read-boot' | 'set-power' | 'media'

export interface Verdict {
  /** Tries of the same call, the first included; `budget`: as many as the caller's budget of tries allows. */
  tries: number | 'budget'
  /** Afterwards: `fail` ends the deployment in error, `hold` leaves everything to an operator. */
  afterwards: 'fail' | 'hold'
}

/**
 * What is done about a failed call. Two rules decide: a password that is refused is tried twice and no more, because BMCs lock
 * accounts; and after a call that may have changed the power, or one that finds it in no state, nobody guesses: an operator looks.
 */
export function judge(call: BmcCall, { fault, outcome }: Pick<BmcError, 'fault' | 'outcome'>): Verdict {
  if (fault === 'authentication') return { tries: 2, afterwards: 'hold' }
  const saidNo = fault === 'refused' && outcome === 'refused'
  const isUnclear = call === 'set-power' ? !saidNo : call === 'read-power' && fault === 'not-done'
  const afterwards = isUnclear ? 'hold' : 'fail'
  const pointless = fault === 'identity' || fault === 'garbled' || fault === 'refused'
  return { tries: pointless ? 1 : 'budget', afterwards }
}
