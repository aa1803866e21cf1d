import { type IpmitoolTextName } from '../testing/ipmitool-texts.ts'
import {
  bootParameter,
  fails,
  type Misbehave,
  silentMs,
  type SimulatedIpmitool,
  succeeds,
} from '../testing/simulated-ipmitool.ts'

/** Makes a BMC misbehave, from now on. */
export type Injector = (ipmitool: SimulatedIpmitool) => void

const unending = new AbortController().signal
const readsPower = 'chassis power status'
const readsFlags = 'chassis bootparam get 5'
const turnsOn = 'chassis power on'
const setsFlags = 'raw 0x00 0x08 0x05 '
const isWrite = (command: string) => command === turnsOn || command.startsWith(setsFlags)

const minute = 60_000

const always =
  (misbehave: Misbehave): Injector =>
  (ipmitool) =>
    ipmitool.use(misbehave)

const once =
  (when: (command: string) => boolean, misbehave: (ipmitool: SimulatedIpmitool) => Misbehave): Injector =>
  (ipmitool) => {
    let done = false
    ipmitool.use(async (call, next) => {
      if (done || !when(call.command)) return await next(call)
      done = true
      return await misbehave(ipmitool)(call, next)
    })
  }

const says = (name: IpmitoolTextName, ms = Number.POSITIVE_INFINITY): Injector => {
  return (ipmitool) => {
    const until = ipmitool.clock.now() + ms
    ipmitool.use(async (call, next) => (ipmitool.clock.now() < until ? fails(name) : await next(call)))
  }
}

/** No packet is answered for `ms` from now; a run that is still waiting then goes on. */
const silent =
  (ms: number): Injector =>
  (ipmitool) => {
    const { clock } = ipmitool
    const until = clock.now() + ms
    ipmitool.use(async (call, next) => {
      const left = until - clock.now()
      if (left > 0) await clock.sleep(Math.min(left, silentMs), unending)
      return left > silentMs ? fails('says nothing') : await next(call)
    })
  }

/** Shows what it showed so long ago. */
const stale =
  (command: string, ms: number): Injector =>
  (ipmitool) => {
    const seen: { at: number; shown: string }[] = []
    ipmitool.use(async (call, next) => {
      const run = await next(call)
      if (call.command !== command) return run
      const now = ipmitool.clock.now()
      seen.push({ at: now, shown: run.stdout })
      return succeeds((seen.findLast(({ at }) => at <= now - ms) ?? seen[0])?.shown ?? '')
    })
  }

const shows = (power: 'on' | 'off'): Misbehave => {
  return async (call, next) =>
    call.command === readsPower ? succeeds(`Chassis Power is ${power}\n`) : await next(call)
}

/** Shows the boot flags' first byte with a bit changed. */
const flips = (bit: number): Injector =>
  always(async (call, next) => {
    const run = await next(call)
    const hex = /data: ([0-9a-f]{10})/.exec(run.stdout)?.[1]
    if (call.command !== readsFlags || hex === undefined) return run
    const bytes = Buffer.from(hex, 'hex')
    bytes[0] = (bytes[0] ?? 0) ^ bit
    return succeeds(bootParameter(bytes.toString('hex')))
  })

/** Carries it out, and restarts before it answers. */
const restartsAfterWrite = once(isWrite, (ipmitool) => async (call, next) => {
  await next(call)
  silent(3 * minute)(ipmitool)
  await ipmitool.clock.sleep(call.until - ipmitool.clock.now(), unending)
  return fails(call.command === turnsOn ? 'falls silent at a power command' : 'falls silent at a raw command')
})

const answerLost = once(
  () => true,
  () => async (call, next) => {
    await next(call)
    if (call.command === turnsOn) return fails('falls silent at a power command')
    return fails(
      call.command.startsWith('raw') ? 'falls silent at a raw command' : 'falls silent at a power reading',
    )
  },
)

const EFI = 0x20
const PERSISTENT = 0x40

export const injectors: Readonly<Record<string, Injector>> = {
  'silent-once': silent(silentMs + 1),
  'answer-lost-once': answerLost,
  silent: silent(Number.POSITIVE_INFINITY),
  // To ipmitool, a port that refuses packets is one that does not answer.
  'host-down': silent(Number.POSITIVE_INFINITY),
  'password-changed': (ipmitool) => {
    ipmitool.password = 'changed meanwhile'
  },
  'node-busy-20s': says('is busy', minute / 3),
  'sessions-full-60s': says('has no session left', minute),
  'damages-answers': says('damages its answers'),
  'no-meaning': always(async () => succeeds('Chassis Power is \u0000\u001b[2J\n')),
  floods: always(async () => ({ status: null, killed: 'length', stdout: '', stderr: '' })),
  'power-ignored': always(async (call, next) =>
    call.command === turnsOn ? succeeds('Chassis Power Control: Up/On\n') : await next(call),
  ),
  'boot-ignored': always(async (call, next) =>
    call.command.startsWith(setsFlags) ? succeeds('\n') : await next(call),
  ),
  'says-on': always(shows('on')),
  'says-on-once': once(
    (command) => command === readsPower,
    () => shows('on'),
  ),
  'says-off': always(shows('off')),
  'power-stale-60s': stale(readsPower, minute),
  'boot-stale-60s': stale(readsFlags, minute),
  // It does so by itself, when it is not told to keep them.
  'flags-expire': () => undefined,
  'efi-dropped': flips(EFI),
  'made-persistent': flips(PERSISTENT),
  'busy-always': says('is busy'),
  restarts: silent(3 * minute),
  'restarts-after-write': restartsAfterWrite,
  'cipher-suite-0': (ipmitool) => ipmitool.suites.push(0),
  'late-30s': silent(minute / 2),
  'turned-off-by-hand-once': once(
    (command) => command === turnsOn,
    ({ machine }) =>
      async (call, next) => {
        const run = await next(call)
        await machine.act('off')
        return run
      },
  ),
}
