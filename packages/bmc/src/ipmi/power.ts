import { type PowerState } from '../bmc.ts'
import { type Call, type IpmiCommands, pauseMs } from './commands.ts'
import { IpmiFailure } from './ipmi-failure.ts'

/** Two readings that agree on `off` are so far apart, in ms: BMCs show states that are over. */
const apartMs = 2000
/** How long a server that can do it takes to be seen on or off, in ms. */
const changeMs = 120_000
/** How long a BMC is asked again that cannot in the server's present state, such as its self-test, in ms. */
const refusedMs = 60_000
const pollMs = { first: 1000, most: 5000 }

/** `off` only after two readings of it. */
export async function readPower(commands: IpmiCommands, call: Call): Promise<PowerState> {
  if ((await readOnce(commands, call)) === 'on') return 'on'
  await commands.clock.sleep(apartMs, call.signal)
  return await readOnce(commands, call)
}

/**
 * Sends the command whatever the BMC shows now: it may be an old state, and turning on what is on changes nothing. A command
 * that may have been carried out is not repeated. Returns when the new state has been seen.
 */
export async function setPower(commands: IpmiCommands, to: PowerState, call: Call): Promise<void> {
  const ordered = await order(commands, to, call)
  if (ordered === 'so already') return
  try {
    await see(commands, to, call, ordered)
  } catch (error) {
    throw error instanceof IpmiFailure ? new IpmiFailure({ ...error.meaning, outcome: 'unknown' }) : error
  }
}

/** `IpmiFailure`: nobody knows whether the BMC carried it out. */
type Ordered = 'taken' | 'so already' | IpmiFailure

async function order(commands: IpmiCommands, to: PowerState, call: Call): Promise<Ordered> {
  const { clock } = commands
  const until = clock.now() + refusedMs
  for (;;) {
    const failure = await tell(commands, to, call)
    if (failure === null) return 'taken'
    if (!isRefusal(failure)) return failure
    if (await isSo(commands, to, call)) return 'so already'
    if (failure.meaning.retry !== 'state' || clock.now() > until) throw failure
  }
}

/** null: the BMC took it. A failure is returned where there is something to look at. */
async function tell(commands: IpmiCommands, to: PowerState, call: Call): Promise<IpmiFailure | null> {
  try {
    await commands.send(['chassis', 'power', to], accepted[to], call, { atMostOnce: true })
    return null
  } catch (error) {
    const mayBeSo = error instanceof IpmiFailure && (isRefusal(error) || error.outcome === 'unknown')
    if (mayBeSo) return error
    throw error
  }
}

/** Some BMCs refuse what is so already, with different codes, and what they show may lag behind. */
async function isSo(commands: IpmiCommands, to: PowerState, call: Call): Promise<boolean> {
  if ((await readPower(commands, call)) === to) return true
  await commands.clock.sleep(pauseMs, call.signal)
  return (await readPower(commands, call)) === to
}

const accepted = { on: /^Chassis Power Control: Up\/On$/m, off: /^Chassis Power Control: Down\/Off$/m }

const isRefusal = ({ fault, meaning }: IpmiFailure): boolean =>
  fault === 'refused' || meaning.retry === 'state'

async function see(commands: IpmiCommands, to: PowerState, call: Call, ordered: Ordered): Promise<void> {
  const { clock } = commands
  const until = Math.min(clock.now() + changeMs, call.until)
  let pause = pollMs.first
  while ((await readPower(commands, call)) !== to) {
    if (clock.now() + pause > until) throw ordered instanceof IpmiFailure ? ordered : notDone(to)
    await clock.sleep(pause, call.signal)
    pause = Math.min(2 * pause, pollMs.most)
  }
}

const notDone = (to: PowerState): IpmiFailure =>
  new IpmiFailure({
    fault: 'not-done',
    outcome: 'unknown',
    retry: 'never',
    message: `The BMC took the command to turn the server ${to}, and does not show it ${to}.`,
    remedy: 'Look at the server and at its BMC.',
  })

async function readOnce(commands: IpmiCommands, call: Call): Promise<PowerState> {
  const [, state] = await commands.send(['chassis', 'power', 'status'], /^Chassis Power is (on|off)$/m, call)
  return state === 'on' ? 'on' : 'off'
}
