import { errorAnswer, type Json, ok } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { bootIn, isPatchOf, onSystem } from './change.ts'

export const readOnly = (name: string) =>
  errorAnswer(400, 'Base.1.18.PropertyNotWritable', `The property ${name} is a read only property.`)

/** Keeps the override in a settings object, of which `shows` says what it holds; what it holds cannot be written elsewhere. */
const inSettings =
  (name: string, shows: readonly string[]): Fault =>
  (context) => {
    const { system } = context.paths
    const path = `${system}/${name}`
    const link = onSystem((resource) => {
      resource['@Redfish.Settings'] = {
        '@odata.type': '#Settings.v1_3_0.Settings',
        SettingsObject: { '@odata.id': path },
      }
      const boot = resource['Boot'] as Json
      for (const each of shows) delete boot[`${each}@Redfish.AllowableValues`]
    })(context)
    return async (exchange, next) => {
      if (exchange.path !== path) {
        const there = Object.keys(bootIn(exchange)).find((each) => shows.includes(each))
        const refused = isPatchOf(exchange, system) && there !== undefined
        return refused ? readOnly(there) : await link(exchange, next)
      }
      const answer = await next({ ...exchange, path: system })
      if (exchange.method !== 'GET') return answer
      const boot = Object.entries((answer.body as Json)['Boot'] as Json)
      const held = boot.filter(([each]) => shows.includes(each.replace('@Redfish.AllowableValues', '')))
      const rest = { '@odata.id': path, Id: name, Name: 'Pending settings' }
      return ok({ ...rest, Boot: { BootOrder: ['Boot0000'], ...Object.fromEntries(held) } }, answer.headers)
    }
  }

const overrides = [
  'BootSourceOverrideEnabled',
  'BootSourceOverrideTarget',
  'BootSourceOverrideMode',
  'HttpBootUri',
]

/** Boot overrides that are kept elsewhere than in the system. */
export const bootSettingsFaults = {
  /** iDRAC 10, Nokia: the system's copy is read-only. */
  'boot-in-settings': inSettings('Settings', overrides),
  /** Some Dell: only the mode. */
  'boot-mode-in-settings': inSettings('Settings', ['BootSourceOverrideMode']),
  /** Lenovo SE450: the settings object holds the boot order and no override. */
  'boot-order-in-settings': inSettings('Pending', []),
  /** AMI: refuses the system, and names the settings only in the refusal. */
  'boot-in-future-state':
    ({ paths }) =>
    async (exchange, next) => {
      const path = `${paths.system}/SD`
      if (exchange.path === path) {
        const withMatch = exchange.method === 'GET' || exchange.headers['if-match'] !== undefined
        return withMatch
          ? await next({ ...exchange, path: paths.system })
          : errorAnswer(428, 'Ami.1.0.PreconditionHeaderMissing', 'If-Match is required.')
      }
      return isPatchOf(exchange, paths.system)
        ? errorAnswer(400, 'Ami.1.0.OperationSupportedInFutureStateURI', 'Use the future state URI.')
        : await next(exchange)
    },
} satisfies Record<string, Fault>
