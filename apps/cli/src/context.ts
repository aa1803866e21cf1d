import type { ReadStream } from 'node:tty'

/** What the command line finds around it, read once in `main.ts` and passed down. */
export interface Context {
  env: Readonly<Record<string, string | undefined>>
  /** Home directory of the user. */
  home: string
  stdin: ReadStream
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  /**
   * For commands that have something to leave in order: from this call on SIGINT and SIGTERM abort the signal, and end the
   * process only when they come again.
   */
  interruptible(): AbortSignal
}

/** The command has said what went wrong; exit status 1. */
export class CommandFailed extends Error {}
