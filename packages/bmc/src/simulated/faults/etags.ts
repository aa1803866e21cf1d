import { errorAnswer, type Exchange, type Json } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { both } from './change.ts'

/** Shows each ETag in another form, and takes back what it showed. */
const shownAs =
  (form: (etag: string) => string | null): Fault =>
  () => {
    const shown = new Map<string, string>()
    return async (exchange, next) => {
      const given = exchange.headers['if-match']
      const real = given === undefined ? undefined : (shown.get(given) ?? given)
      const answer = await next({ ...exchange, headers: { ...exchange.headers, 'if-match': real } })
      const etag = answer.headers['ETag']
      if (etag === undefined) return answer
      const other = form(etag)
      if (other !== null) shown.set(other, etag)
      const { ETag: _, ...headers } = answer.headers
      const { '@odata.etag': __, ...body } = answer.body as Json
      return other === null
        ? { ...answer, headers, body }
        : { ...answer, headers: { ...headers, ETag: other }, body: { '@odata.etag': other, ...body } }
    }
  }

const failed = () => errorAnswer(412, 'Base.1.18.PreconditionFailed', 'The ETag does not match.')
const required = (status: number, id: string) => errorAnswer(status, id, 'If-Match is required.')

/** Refuses writes of one method by what stands in their `If-Match`. */
const refusing =
  (method: string, refusal: (ifMatch: string | undefined) => ReturnType<typeof failed> | null): Fault =>
  () =>
  async (exchange: Exchange, next) => {
    const isLogin = exchange.headers['x-auth-token'] === undefined
    const refused = exchange.method === method && !isLogin ? refusal(exchange.headers['if-match']) : null
    return refused ?? (await next(exchange))
  }

const requiring = refusing('PATCH', (ifMatch) =>
  ifMatch === undefined ? required(412, 'Base.1.18.PreconditionRequired') : null,
)

let changes = 0

/** ETags and `If-Match` (RFC 9110, section 13.1.1) as BMCs have them. */
export const etagFaults = {
  'etag-none': shownAs(() => null),
  'etag-empty': shownAs(() => ''),
  'etag-weak': shownAs((etag) => `W/${etag}`),
  /** Shows a weak one, and knows only its strong form. */
  'etag-weak-taken-strong': () => async (exchange, next) => {
    if (exchange.headers['if-match']?.startsWith('W/') === true) return failed()
    const answer = await next(exchange)
    const etag = answer.headers['ETag']
    if (etag !== undefined) answer.headers['ETag'] = `W/${etag}`
    return answer
  },
  /** iDRAC 10. */
  'etag-double-quoted': shownAs((etag) => `"\\"W/'${etag.slice(1, -1)}'\\""`),
  /** Servers that compress. */
  'etag-gzip': shownAs((etag) => `${etag.slice(0, -1)}-gzip"`),
  /** Another one at each reading. */
  'etag-changes': shownAs((etag) => `${etag.slice(0, -1)}-${++changes}"`),
  /** Lenovo XCC after an insert: the first write with a fresh ETag fails. */
  'etag-412-once': () => {
    let writes = 0
    return async (exchange, next) =>
      exchange.method === 'PATCH' && ++writes === 1 ? failed() : await next(exchange)
  },
  /** Takes no `If-Match` at all. */
  'etag-412-with': refusing('PATCH', (ifMatch) => (ifMatch === undefined ? null : failed())),
  /** Old Gigabyte firmware: no form of it helps. */
  'etag-412-always': refusing('PATCH', failed),
  /** Huawei, Fujitsu. */
  'etag-required': requiring,
  'etag-required-not-shown': both(
    shownAs(() => null),
    requiring,
  ),
  /** iDRAC 10: an action with `If-Match` is refused. */
  'action-refuses-etag': refusing('POST', (ifMatch) => (ifMatch === undefined ? null : failed())),
  /** Huawei, AMI: an action without it is. */
  'action-requires-etag': refusing('POST', (ifMatch) =>
    ifMatch === undefined ? required(428, 'Ami.1.0.PreconditionHeaderMissing') : null,
  ),
} satisfies Record<string, Fault>
