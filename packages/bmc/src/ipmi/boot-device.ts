import { type BootDevice } from '../bmc.ts'
import {
  bootDeviceOf,
  type BootFlags,
  bootFlagsFor,
  compareBootFlags,
  decodeBootFlags,
  encodeBootFlags,
} from './boot-flags.ts'
import { type Call, type IpmiCommands, pauseMs } from './commands.ts'
import { manufacturerOf } from './identify.ts'
import { IpmiFailure } from './ipmi-failure.ts'

/** Set System Boot Options: IPMI 2.0, section 28.12; network function, command, parameter, data. */
const setParameter = (parameter: number, data: readonly number[]): string[] => [
  'raw',
  ...[0x00, 0x08, parameter, ...data].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`),
]

/**
 * Parameter 3, bit 3: flags stay valid although no chassis control comes within 60 s. A command of its own, because ipmitool
 * releases differ in what they take for `options=no-timeout`.
 */
const keepFlags = setParameter(3, [0x08])
const noOutput = /^\s*$/
/** How long the flags are read that are not as they were written: some BMCs show old ones for a minute. */
const readBackMs = 75_000

/** null also where the BMC cannot say. */
export async function readBootDevice(commands: IpmiCommands, call: Call): Promise<BootDevice | null> {
  const flags = await readFlags(commands, call)
  if (flags === null || !flags.valid) return null
  return bootDeviceOf(flags, await manufacturerOf(commands, call))
}

/** For the next start, once. Returns when the flags read as written, or the BMC cannot show them. */
export async function setBootDevice(
  commands: IpmiCommands,
  to: BootDevice | null,
  call: Call,
): Promise<void> {
  const wish = bootFlagsFor(to, commands.options.firmware, await manufacturerOf(commands, call))
  if (wish.valid) await orUnsupported(commands.send(keepFlags, noOutput, call))
  await commands.send(setParameter(5, encodeBootFlags(wish)), noOutput, call)
  await readBack(commands, wish, call)
}

async function readBack(commands: IpmiCommands, wish: BootFlags, call: Call): Promise<void> {
  const { clock } = commands
  const until = Math.min(clock.now() + readBackMs, call.until)
  for (;;) {
    const seen = await readFlags(commands, call)
    const verdict = seen === null ? 'unconfirmed' : compareBootFlags(wish, seen)
    if (verdict === 'confirmed' || verdict === 'unconfirmed') return
    if (seen !== null && clock.now() + pauseMs > until) throw contradicted(verdict, wish, seen)
    await clock.sleep(pauseMs, call.signal)
  }
}

function contradicted(verdict: 'mode' | 'other', wish: BootFlags, seen: BootFlags): IpmiFailure {
  const [wrote, read] = [wish, seen].map((flags) => Buffer.from(encodeBootFlags(flags)).toString('hex'))
  return new IpmiFailure({
    fault: verdict === 'mode' ? 'refused' : 'not-done',
    outcome: 'unknown',
    retry: 'never',
    message: `The BMC took the boot flags ${wrote}, and shows ${read}.`,
    remedy:
      verdict === 'mode'
        ? "Check that the server's firmware boots as byoi has it, UEFI or legacy; else manage this server by Redfish."
        : "Update the BMC's firmware, or manage this server by Redfish.",
  })
}

/** null: the BMC does not know the parameter, or has it locked. */
async function readFlags(commands: IpmiCommands, call: Call): Promise<BootFlags | null> {
  // The words that follow are wrong for vendors' own values: the bytes count.
  const data = /^Boot parameter data: ([0-9a-f]{4,})$/im
  const found = await orUnsupported(commands.send(['chassis', 'bootparam', 'get', '5'], data, call))
  if (found === null || found.input.includes('Boot parameter 5 is invalid/locked')) return null
  return decodeBootFlags(found[1] ?? '')
}

/** null: the BMC does not have it. */
async function orUnsupported<T>(sent: Promise<T>): Promise<T | null> {
  try {
    return await sent
  } catch (error) {
    if (error instanceof IpmiFailure && error.meaning.retry === 'unsupported') return null
    throw error
  }
}
