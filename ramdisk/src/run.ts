import { spawn } from 'node:child_process'

/** A command that ended otherwise than with status 0, or could not be started. */
export class CommandError extends Error {
  override name = 'CommandError'
}

export interface RunOptions {
  /** Beside this process's own environment. */
  env?: Record<string, string>
  cwd?: string
}

/**
 * Runs a program to its end and gives its standard output.
 * @throws {CommandError} with the last lines of its standard error.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.once('error', (cause) =>
      reject(new CommandError(`${program} cannot be run: is it installed?`, { cause })),
    )
    child.once('close', (status, signal) => {
      if (status === 0) return resolve(Buffer.concat(out))
      const words = Buffer.concat(err).toString().trim().split('\n').slice(-5).join('\n')
      reject(
        new CommandError(`${program} ${args[0] ?? ''} ended with ${signal ?? `status ${status}`}: ${words}`),
      )
    })
  })
}
