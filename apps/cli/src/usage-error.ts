/** The command line cannot mean anything; exit status 2. The message is one sentence and holds no secret. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UsageError'
  }
}
