/** A signature that is good so far, and whose content is still to come. */
export interface ContentCheck {
  /** The next bytes of the content; they are not kept by reference. */
  update(bytes: Uint8Array): void
  /** All of it has come. Gives who signed: `minisign key ...` or `OpenPGP key ...`. Rejects with a SigningProblem. */
  finish(): Promise<string>
}
