import { type ErrorCode } from './errors.ts'

/** A request that is refused with 400. Its texts name fields, never their values: those may be secret. */
export class BadParameter extends Error {
  /** A code of the error catalogue where OVHcloud has a sentence for it, else `BAD_PARAMETERS`. */
  readonly code: ErrorCode | 'BAD_PARAMETERS'
  /** The member at fault, e.g. `configdrive.hostname`; empty for the body as a whole. */
  readonly field: string
  readonly reason: string
  readonly remedy: string

  constructor(
    message: string,
    facts: { code?: ErrorCode | 'BAD_PARAMETERS'; field: string; reason: string; remedy: string },
  ) {
    super(message)
    this.name = 'BadParameter'
    this.code = facts.code ?? 'BAD_PARAMETERS'
    this.field = facts.field
    this.reason = facts.reason
    this.remedy = facts.remedy
  }
}

/** A field of wrong form. `must`: what it must be, ends the sentence "field must ...". */
export const badField = (field: string, must: string): BadParameter =>
  new BadParameter(`Body parameter ${field} isn't formated correctly`, {
    field,
    reason: `The value of ${field} is not accepted.`,
    remedy: `${field} must ${must}.`,
  })

/** Names that came from the caller are shown only when they cannot hold a secret or break a line. */
export const shownName = (name: string): string => (/^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : '?')

/** The sentence of OVHcloud's gateway for members that the call does not have. `call` as in `POST/bringYourOwnImage`. */
export const notDescribed = (names: string[], call: string): BadParameter =>
  new BadParameter(
    `Received not described parameters: (${names.map(shownName).join(', ')}) while calling ${call}`,
    {
      field: shownName(names[0] ?? ''),
      reason: 'The request holds a parameter that this call does not have.',
      remedy: 'Leave the parameter out, or check its spelling: letter case matters.',
    },
  )
