/** Why a key cannot be used, or a signature does not hold. */
export class SigningProblem extends Error {
  /** What happened, one sentence. Never holds key material but for key ids. */
  override readonly cause: string
  /** What to change, one sentence. */
  readonly remedy: string

  constructor(cause: string, remedy: string) {
    super(cause)
    this.name = 'SigningProblem'
    this.cause = cause
    this.remedy = remedy
  }
}

/** No key is the signature's. Ids in upper-case hex. */
export function unknownKey(format: string, signedBy: string[], known: string[]): SigningProblem {
  const given = known.length === 0 ? `none is ${format}'s` : `they are ${shortList(known)}`
  return new SigningProblem(
    `The signature is by the ${format} key ${shortList(signedBy)}, which is not among the keys given: ${given}.`,
    'Give the public key of whoever signs, after checking that it is his, or use a signature by a key that was given.',
  )
}

/** The content, or the signature, is another than was signed. */
export const badSignature = (by: string): SigningProblem =>
  new SigningProblem(
    `The signature by ${by} is not one over these bytes.`,
    'Use the signature that was made over this very file, or serve the file that was signed.',
  )

function shortList(ids: string[]): string {
  const most = 4
  const shown = ids.slice(0, most).join(', ')
  return ids.length > most ? `${shown} and ${ids.length - most} more` : shown
}
