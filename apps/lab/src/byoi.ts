import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LabError } from './lab-error.ts'

/** The launcher at the root of the checkout: the lab uses byoi as an operator does. */
export const launcher = fileURLToPath(new URL('../../../byoi', import.meta.url))

/**
 * Runs a byoi command to its end and gives its standard output.
 * @param environment What it gets beside the lab's own environment, such as a password.
 * @throws {LabError} with the command's own words when it fails.
 */
export async function byoi(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  return await new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment }
    execFile(launcher, args, { env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      const words = `${stderr}${stdout}`.trim().split('\n').slice(-5).join('\n')
      if (error === null) resolve(stdout)
      else reject(new LabError(`byoi ${args.slice(0, 2).join(' ')} failed: ${words || error.message}`))
    })
  })
}
