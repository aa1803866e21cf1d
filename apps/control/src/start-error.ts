/** Why the control plane cannot start: what happened and what to change, one sentence each, without secrets. */
export class StartError extends Error {
  readonly remedy: string

  constructor(message: string, remedy: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'StartError'
    this.remedy = remedy
  }
}
