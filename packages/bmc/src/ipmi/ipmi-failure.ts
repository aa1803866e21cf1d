import { BmcError, type BmcFault } from '../bmc.ts'

/**
 * `later`: the same again after some seconds, within the command's time. `once`: the same again, one time. `cipher-suite` and
 * `privilege`: again with the next one. `state`: depends on the server's power, which is to be read. `console`: again after
 * whoever has the console was asked to leave. `never`: it would be the same. `unsupported`: likewise, because the BMC does not
 * have what was asked for.
 */
export type Retry =
  | 'later'
  | 'once'
  | 'cipher-suite'
  | 'privilege'
  | 'state'
  | 'console'
  | 'never'
  | 'unsupported'

export interface Meaning {
  fault: BmcFault
  /** `refused`: the command was not carried out for certain. */
  outcome: 'refused' | 'unknown'
  retry: Retry
  /** One sentence each. */
  message: string
  remedy: string
}

/** A command that failed, with what there is to do about it. */
export class IpmiFailure extends BmcError {
  readonly meaning: Meaning

  constructor(meaning: Meaning, cause?: unknown) {
    super(meaning.message, { ...meaning, cause })
    this.meaning = meaning
  }
}
