import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Context } from './context.ts'
import { UsageError } from './usage-error.ts'

/** Where a BMC's password comes from: never the command line, which every user of the machine can read. */
export interface PasswordOptions {
  bmcPasswordFile?: string
}

/** From the file, the variable BYOI_BMC_PASSWORD, or the person at the terminal. Throws UsageError when there is none. */
export async function readBmcPassword(options: PasswordOptions, context: Context): Promise<string> {
  const given = givenPassword(options, context)
  if (given !== undefined) return given
  if (!context.stdin.isTTY) {
    throw new UsageError("Give the BMC's password by --bmc-password-file or the variable BYOI_BMC_PASSWORD.")
  }
  const typed = await ask("The BMC's password: ", context)
  if (typed === '') throw new UsageError('The password is empty.')
  return typed
}

/** The same without asking; undefined where none is given. */
export function givenPassword({ bmcPasswordFile }: PasswordOptions, { env }: Context): string | undefined {
  const password =
    bmcPasswordFile === undefined ? env['BYOI_BMC_PASSWORD'] : readPasswordFile(bmcPasswordFile)
  if (password === '') throw new UsageError('The password is empty.')
  return password
}

/** One line; the line end is not part of it. */
function readPasswordFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    })
  }
}

/** One line from the terminal, which is not shown while it is typed. */
async function ask(question: string, { stdin, stderr }: Context): Promise<string> {
  stderr.write(question)
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: silent, terminal: true })
  try {
    return await new Promise((resolve, reject) => {
      lines.once('line', resolve)
      lines.once('SIGINT', () => reject(new UsageError('Stopped.')))
      lines.once('close', () => reject(new UsageError('The password is empty.')))
    })
  } finally {
    lines.close()
    stderr.write('\n')
  }
}
