import { errorAnswer, type Json } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { onGet } from './change.ts'

const isLogin = (method: string, path: string, sessions: string) => method === 'POST' && path === sessions

const onLogin =
  (change: (headers: Record<string, string>, host: string) => void): Fault =>
  ({ paths }) =>
  async (exchange, next) => {
    const answer = await next(exchange)
    if (isLogin(exchange.method, exchange.path, paths.sessions)) {
      change(answer.headers, exchange.headers['host'] ?? '')
    }
    return answer
  }

const onRoot =
  (edit: (root: Json) => void): Fault =>
  ({ paths }) =>
    onGet((path) => path === paths.root, edit)

const remove =
  (...names: string[]) =>
  (resource: Json) => {
    for (const name of names) delete resource[name]
  }

/** What stands between a client and the resources: the root, login and sessions. */
export const accessFaults = {
  'root-without-vendor': onRoot(remove('Vendor', 'Product')),
  /** AMI Viking before a restart of its BMC. */
  'root-without-links': onRoot(remove('Systems', 'Managers')),
  'root-without-sessions': onRoot(remove('Links', 'SessionService')),
  'login-without-location': onLogin((headers) => {
    delete headers['Location']
  }),
  'login-with-absolute-location': onLogin((headers, host) => {
    if (headers['Location'] !== undefined) headers['Location'] = `https://${host}${headers['Location']}`
  }),
  'login-without-token': onLogin((headers) => {
    delete headers['X-Auth-Token']
  }),
  /** iDRAC: others' sessions fill the table; one ends after a minute. */
  'sessions-full-60s': ({ paths, clock }) => {
    const until = clock.now() + 60_000
    return async (exchange, next) =>
      isLogin(exchange.method, exchange.path, paths.sessions) && clock.now() < until
        ? errorAnswer(503, 'IDRAC.2.8.RAC0218', 'The maximum number of user sessions is reached.')
        : await next(exchange)
  },
  'sessions-full':
    ({ paths }) =>
    async (exchange, next) =>
      isLogin(exchange.method, exchange.path, paths.sessions)
        ? errorAnswer(400, 'Base.1.18.SessionLimitExceeded', 'The session limit is reached.')
        : await next(exchange),
  /** Sessions end by themselves after three requests (Dell: its web server restarts). */
  'session-lost': ({ sessions }) => {
    let asked = 0
    return async (exchange, next) => {
      if (exchange.headers['x-auth-token'] !== undefined && ++asked % 4 === 0) sessions.end()
      return await next(exchange)
    }
  },
  /** Nobody's password is right any more. */
  'password-changed':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.path.replace(/\/$/, '') === paths.root
        ? await next(exchange)
        : errorAnswer(401, 'Base.1.18.NoValidSession', 'There is no valid session.'),
  /** HTTP Basic only. */
  'no-session-service':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.path.startsWith(paths.sessionService)
        ? errorAnswer(404, 'Base.1.18.ResourceMissingAtURI', 'Not found.')
        : await next(exchange),
  /** The account may read and nothing else. */
  'read-only-account':
    ({ paths }) =>
    async (exchange, next) =>
      exchange.method === 'GET' || exchange.path.startsWith(paths.sessionService)
        ? await next(exchange)
        : errorAnswer(403, 'Base.1.18.InsufficientPrivilege', 'The account lacks privileges.'),
} satisfies Record<string, Fault>
