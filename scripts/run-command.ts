/** Child processes for the scripts: argument vectors, no shell. */
import { spawn, type SpawnOptions } from 'node:child_process'

export interface CommandResult {
  status: number
  stdout: Buffer
  stderr: string
}

/** Runs a command to its end. A command that cannot be started has status 127. */
export function tryCommand(
  command: string,
  args: string[],
  options: SpawnOptions & { input?: string | Uint8Array } = {},
): Promise<CommandResult> {
  const { input, ...spawnOptions } = options
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...spawnOptions, stdio: ['pipe', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    // A command that ends without reading its input is judged by its status.
    child.stdin.once('error', () => undefined)
    child.stdin.end(input)
    const end = (status: number, more = ''): void =>
      resolve({ status, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() + more })
    child.once('error', (error) => end(127, error.message))
    child.once('close', (status) => end(status ?? 128))
  })
}

/**
 * Runs a command to its end and gives its standard output.
 * @throws {Error} with the command's last words when its status is not 0.
 */
export async function command(
  name: string,
  args: string[],
  options: SpawnOptions & { input?: string | Uint8Array } = {},
): Promise<Buffer> {
  const { status, stdout, stderr } = await tryCommand(name, args, options)
  if (status !== 0) {
    const words = stderr.trim().split('\n').slice(-5).join('\n')
    throw new Error(`${name} ${args[0] ?? ''} ended with status ${status}: ${words}`)
  }
  return stdout
}
