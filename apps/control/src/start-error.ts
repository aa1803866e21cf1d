/** Why the control plane cannot start: what happened and what to change, one sentence each, without secrets. */
export class StartError extends Error {
  readonly remedy: string

  constructor(message: string, remedy: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'StartError'
    this.remedy = remedy
  }
}

/** For a listener that does not get its address. */
export const cannotListen = (
  { host, port }: { host: string; port: number },
  cause: NodeJS.ErrnoException,
): StartError =>
  new StartError(
    `${host}:${port} cannot be listened on (${cause.code}).`,
    'Give another address or port; port 0 takes any that is free.',
    cause,
  )
