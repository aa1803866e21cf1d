import { errorAnswer, type Json, noContent } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { both, isAction, onGet, onSystem } from './change.ts'

const resetType = (body: unknown) => (body as Json | undefined)?.['ResetType']

const shows = (state: unknown): Fault =>
  onSystem((system) => {
    system['PowerState'] = state
  })

/** Shows the power as it was so long ago. */
const stale =
  (ms: number): Fault =>
  ({ clock, paths }) => {
    const seen: { at: number; state: unknown }[] = []
    return onGet(
      (path) => path === paths.system,
      (system) => {
        seen.push({ at: clock.now(), state: system['PowerState'] })
        const old = seen.findLast(({ at }) => at <= clock.now() - ms) ?? seen[0]
        system['PowerState'] = old?.state
      },
    )
  }

const onReset =
  (refuse: (type: unknown, power: string) => ReturnType<typeof errorAnswer> | null): Fault =>
  ({ machine }) =>
  async (exchange, next) => {
    const refused = isAction(exchange, 'Reset')
      ? refuse(resetType(exchange.body), await machine.power())
      : null
    return refused ?? (await next(exchange))
  }

const inState = (type: unknown, power: string) =>
  (type === 'On' && power === 'on') || (type === 'ForceOff' && power === 'off')

/** Power states and resets as BMCs have them. */
export const powerFaults = {
  'power-stale-20s': stale(20_000),
  'power-stale-60s': stale(60_000),
  /** A BMC that starts. */
  'power-null': shows(null),
  'power-null-20s': ({ clock, paths }) => {
    const until = clock.now() + 20_000
    return onGet(
      (path) => path === paths.system,
      (system) => {
        if (clock.now() < until) system['PowerState'] = null
      },
    )
  },
  'always-powering-on': shows('PoweringOn'),
  /** `PoweringOn` for a minute after each command. */
  'powering-60s': ({ clock, paths }) => {
    let until = 0
    const show = onGet(
      (path) => path === paths.system,
      (system) => {
        if (clock.now() < until)
          system['PowerState'] = system['PowerState'] === 'On' ? 'PoweringOn' : 'PoweringOff'
      },
    )
    return async (exchange, next) => {
      if (isAction(exchange, 'Reset')) until = clock.now() + 60_000
      return await show(exchange, next)
    }
  },
  'says-on': shows('On'),
  'says-off': shows('Off'),
  /** Says On at the first reading, then the truth. */
  'says-on-once': ({ paths }) => {
    let asked = 0
    return onGet(
      (path) => path === paths.system,
      (system) => {
        if (++asked === 1) system['PowerState'] = 'On'
      },
    )
  },
  /** Every reset is accepted, and nothing happens. */
  'power-ignored': () => async (exchange, next) =>
    isAction(exchange, 'Reset') ? noContent() : await next(exchange),
  /** iDRAC 10: for a minute after an off. */
  'on-refused-60s': ({ clock }) => {
    const until = clock.now() + 60_000
    return async (exchange, next) =>
      isAction(exchange, 'Reset') && resetType(exchange.body) === 'On' && clock.now() < until
        ? errorAnswer(409, 'Base.1.18.ActionParameterValueConflict', 'Conflicts with the current state.')
        : await next(exchange)
  },
  /** A command that changes nothing is an error; what the BMC shows lags behind, so that it is given. */
  'already-there': both(
    onReset((type, power) =>
      inState(type, power)
        ? errorAnswer(400, 'Base.1.18.GeneralError', 'Host is already in that state.')
        : null,
    ),
    stale(5000),
  ),
  'no-on-but-forceon': both(
    onReset((type) =>
      type === 'On' ? errorAnswer(400, 'Base.1.18.ActionParameterNotSupported', 'Not supported.') : null,
    ),
    onSystem((system) => {
      const action = (system['Actions'] as Json)['#ComputerSystem.Reset'] as Json
      action['ResetType@Redfish.AllowableValues'] = ['ForceOn', 'ForceOff', 'GracefulShutdownGracefulRestart']
    }),
  ),
  /** Supermicro: two words of the list glued together. */
  'reset-types-glued': onSystem((system) => {
    const action = (system['Actions'] as Json)['#ComputerSystem.Reset'] as Json
    action['ResetType@Redfish.AllowableValues'] = ['GracefulShutdownGracefulRestart', 'OnForceOff']
  }),
  'reset-types-not-listed': onSystem((system) => {
    const action = (system['Actions'] as Json)['#ComputerSystem.Reset'] as Json
    delete action['ResetType@Redfish.AllowableValues']
  }),
  /** Somebody else turns the server off by hand right after it was turned on. */
  'turned-off-by-hand-once': ({ machine }) => {
    let done = false
    return async (exchange, next) => {
      const answer = await next(exchange)
      if (!done && isAction(exchange, 'Reset') && resetType(exchange.body) === 'On') {
        done = true
        await machine.act('off')
      }
      return answer
    }
  },
} satisfies Record<string, Fault>
