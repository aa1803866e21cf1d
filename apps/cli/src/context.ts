import type { ReadStream } from 'node:tty'

/** What the command line finds around it, read once in `main.ts` and passed down. */
export interface Context {
  env: Readonly<Record<string, string | undefined>>
  /** Home directory of the user. */
  home: string
  stdin: ReadStream
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  /** Aborts when the user interrupts (SIGINT, SIGTERM). */
  signal: AbortSignal
}

/** The command has said what went wrong; exit status 1. */
export class CommandFailed extends Error {}
