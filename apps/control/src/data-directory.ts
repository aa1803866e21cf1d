import { createHash } from 'node:crypto'
import { mkdir, realpath } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { StartError } from './start-error.ts'

/**
 * Makes the data directory where missing and takes it for this process. The lock is an abstract Unix socket: the kernel lets go
 * of it when we end, however we end. Throws `StartError` when another process has it.
 */
export async function takeDataDirectory(
  path: string,
): Promise<{ path: string; release: () => Promise<void> }> {
  let real: string
  try {
    // The database's own user passes through; what is secret in it has modes of its own.
    await mkdir(path, { recursive: true, mode: 0o711 })
    real = await realpath(path)
  } catch (cause) {
    throw new StartError(
      `The data directory ${path} cannot be made (${(cause as NodeJS.ErrnoException).code}).`,
      'Give another one with --data.',
      cause,
    )
  }
  const server = createServer()
  await listen(server, `\0byoi-up-${createHash('sha256').update(real).digest('hex').slice(0, 40)}`, real)
  return { path: real, release: async () => await new Promise((resolve) => server.close(() => resolve())) }
}

async function listen(server: Server, name: string, directory: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === 'EADDRINUSE'
      reject(
        new StartError(
          taken
            ? `Another byoi up runs on ${directory}.`
            : `The lock of ${directory} failed (${cause.code}).`,
          taken
            ? 'Stop it first, or give another directory with --data.'
            : 'Give another directory with --data.',
          // Its text holds the name of the lock, which nobody knows.
          taken ? undefined : cause,
        ),
      )
    })
    server.listen({ path: name })
  })
  server.unref()
}
