import { errorAnswer, type Json, ok } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { dropped, never, onGet } from './change.ts'

const silenceMs = 60_000

const silent =
  (isMeant: (nth: number) => boolean): Fault =>
  ({ clock }) => {
    let asked = 0
    return async (exchange, next) => {
      if (!isMeant(++asked)) return await next(exchange)
      await clock.sleep(silenceMs, never)
      return dropped
    }
  }

/** Each GET after logging in is answered with these bytes. */
const raw =
  (body: () => string): Fault =>
  () =>
  async (exchange, next) =>
    exchange.method === 'GET' && exchange.headers['x-auth-token'] !== undefined
      ? { status: 200, headers: { 'Content-Type': 'application/json' }, body: body() }
      : await next(exchange)

const hostileNames = {
  __proto__: null,
  constructor: { prototype: { PowerState: 'On' } },
  toString: null,
  hasOwnProperty: 1,
  PowerState: '\u001b[2J\u202e<script>',
  Boot: ['BootSourceOverrideTarget'],
  Members: [null, 7, { '@odata.id': 9 }],
}

/** Answers that come late, broken or not at all. */
export const transportFaults = {
  /** Takes each request, says nothing for a minute, and hangs up. */
  silent: silent(() => true),
  'silent-once': silent((nth) => nth === 1),
  /** For five minutes, each answer comes 30 s late. */
  'late-30s': ({ clock }) => {
    const until = clock.now() + 300_000
    return async (exchange, next) => {
      if (clock.now() < until) await clock.sleep(30_000, never)
      return await next(exchange)
    }
  },
  /** Carries out each POST and PATCH after logging in, and breaks off before it answers. */
  'answer-lost': () => async (exchange, next) => {
    const answer = await next(exchange)
    const isWrite = exchange.method !== 'GET' && exchange.headers['x-auth-token'] !== undefined
    return isWrite ? dropped : answer
  },
  'reset-once': () => {
    let asked = 0
    return async (exchange, next) => (++asked === 1 ? dropped : await next(exchange))
  },
  '500-once': () => {
    let asked = 0
    return async (exchange, next) =>
      ++asked === 1 ? errorAnswer(500, 'Base.1.18.InternalError', 'An internal error.') : await next(exchange)
  },
  /** iDRAC 9 after a change. */
  'busy-20s': ({ clock }) => {
    const until = clock.now() + 20_000
    return async (exchange, next) => {
      if (clock.now() >= until) return await next(exchange)
      return errorAnswer(503, 'IDRAC.2.8.SYS518', 'iDRAC is currently unable to display any information.')
    }
  },
  'busy-always': () => async () => ({
    ...errorAnswer(503, 'Base.1.18.ServiceTemporarilyUnavailable', 'Retry in 5 seconds.'),
    headers: { 'Retry-After': '5' },
  }),
  'invalid-json': raw(() => '{"PowerState": "On", '),
  'no-json-at-all': raw(() => '<html><h1>It works!</h1></html>'),
  '10-mib': raw(() => `{"PowerState": "On", "Padding": "${'x'.repeat(10 * 1024 * 1024)}"}`),
  'nested-deep': raw(() => `{"PowerState": "On", "Oem": ${'['.repeat(100)}${']'.repeat(100)}}`),
  'hostile-names': raw(() => JSON.stringify(hostileNames)),
  /** iLO: the answer to what was done is an error body that says Success. */
  'error-with-200': () => async (exchange, next) => {
    const answer = await next(exchange)
    if (answer.status !== 204) return answer
    return { ...errorAnswer(400, 'iLO.2.8.Success', 'The operation was successful.'), status: 200 }
  },
  /** HPE Gen10 Plus on some resources. */
  '406-identity':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.method === 'GET' &&
      exchange.path.startsWith(paths.system) &&
      exchange.headers['accept-encoding'] === 'identity'
        ? errorAnswer(406, 'Base.1.18.HeaderInvalid', 'Accept-Encoding is not acceptable.')
        : await next(exchange),
  /** `@Message.ExtendedInfo` as one object, as iDRAC sends it. */
  'info-is-an-object': () => async (exchange, next) => {
    const answer = await next(exchange)
    const error = (answer.body as Json | undefined)?.['error'] as Json | undefined
    const info = error?.['@Message.ExtendedInfo']
    if (error !== undefined && Array.isArray(info)) error['@Message.ExtendedInfo'] = info[0]
    return answer
  },
  'info-is-a-string': () => async (exchange, next) => {
    const answer = await next(exchange)
    const error = (answer.body as Json | undefined)?.['error'] as Json | undefined
    if (error !== undefined) error['@Message.ExtendedInfo'] = error['message']
    return answer
  },
  /** All connections break for three minutes, sessions end and the virtual CD is empty. */
  restarts: ({ clock, sessions, machine }) => {
    const until = clock.now() + 180_000
    sessions.end()
    const emptied = machine.eject()
    return async (exchange, next) => {
      await emptied
      return clock.now() < until ? dropped : await next(exchange)
    }
  },
  /** Knows its resources only with a slash at the end (MAAS redfish.py). */
  'needs-slash':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.method === 'GET' && exchange.path.startsWith(paths.systems) && !exchange.path.endsWith('/')
        ? errorAnswer(404, 'Base.1.18.ResourceMissingAtURI', 'Not found.')
        : await next(exchange),
  'redirects-to-slash':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.path.startsWith(paths.systems) && !exchange.path.endsWith('/')
        ? { status: 308, headers: { Location: `${exchange.path}/` } }
        : await next(exchange),
  'redirects-elsewhere':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.path.startsWith(paths.systems)
        ? { status: 307, headers: { Location: `https://127.0.0.1:9${exchange.path}` } }
        : await next(exchange),
  'refers-elsewhere': ({ paths }) =>
    onGet(
      (path) => path === paths.systems,
      (resource) => {
        resource['Members'] = [{ '@odata.id': `https://127.0.0.1:9${paths.system}` }]
      },
    ),
  /** Absolute references that lead to itself. */
  'absolute-references':
    ({ paths }) =>
    async (exchange, next) => {
      const answer = await next(exchange)
      if (exchange.method === 'GET' && exchange.path === paths.systems && answer.status === 200) {
        return ok({ Members: [{ '@odata.id': `https://${exchange.headers['host']}${paths.system}` }] })
      }
      return answer
    },
} satisfies Record<string, Fault>
