import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { type IpmiOptions } from './ipmi-options.ts'

export const password = 'canary-5d1c'

/** Each stand-in is a BMC of its own, also to what the driver remembers of BMCs. */
let port = 20_000

/**
 * Options with a shell script in ipmitool's place. It can start no second process and write no file, as ipmitool cannot. Waits of
 * the driver itself take no time.
 */
export async function standIn(t: TestContext, script: string): Promise<IpmiOptions & { clock: FakeClock }> {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-stand-in-'))
  t.after(async () => await rm(directory, { recursive: true }))
  // Where the tests run as root, the script is run by somebody else.
  await chmod(directory, 0o755)
  const path = join(directory, 'ipmitool')
  await writeFile(path, script, { mode: 0o755 })
  return {
    host: 'bmc.example.test',
    port: port++,
    user: 'admin',
    password,
    firmware: 'uefi',
    cipherSuite: 17,
    commandIntervalMs: 0,
    clock: new FakeClock(),
    program: ['/bin/sh', path],
  }
}

/** Says it on standard error and fails. */
export const saying = (text: string): string => `printf '%s' '${text}' >&2\nexit 1\n`
