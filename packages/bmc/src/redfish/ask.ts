import { BmcError } from '../bmc.ts'
import { type Answer, answerOf } from './answer.ts'
import { type Budget } from './budget.ts'
import { type Peer } from './connection.ts'
import { exchange, type WireRequest } from './wire.ts'

/** Asks a BMC once. Throws `BmcError` when there is no answer; every HTTP status is an answer. */
export type Ask = (request: WireRequest, budget: Budget, timeoutMs?: number) => Promise<Answer>

/** A BMC may take half a minute for an answer. */
const answerMs = 45_000
/** A BMC that restarts its web server is away for some seconds. */
const awayMs = 30_000
const againMs = 4000
const maxRedirects = 3

const headers = {
  'OData-Version': '4.0',
  Accept: 'application/json',
  // Compression makes ETags weak, or gives them another form (sushy RN:do-not-offer-compression-encoding).
  'Accept-Encoding': 'identity',
}

/** Asks a peer, following redirects within it and trying again while nothing was sent or a repeat is harmless. */
export function askOf(peer: Peer): Ask {
  return async (request, budget, timeoutMs = answerMs) => {
    let wanted: WireRequest = { ...request, headers: { ...headers, ...request.headers } }
    for (let redirects = 0; ; ) {
      const answer = answerOf(await persistently(peer, wanted, budget, timeoutMs))
      const { status } = answer
      const { location } = answer.headers
      if (
        (status === 307 || status === 308 || (isRead(wanted) && (status === 301 || status === 302))) &&
        location
      ) {
        if (++redirects > maxRedirects) throw elsewhere('redirects without end')
        wanted = { ...wanted, path: localPath(peer, location) }
      } else if (status === 406 && isRead(wanted) && 'Accept-Encoding' in wanted.headers) {
        // HPE Gen10 Plus keeps some resources compressed and has them no other way (gofish #511).
        const { 'Accept-Encoding': _, ...rest } = wanted.headers
        wanted = { ...wanted, headers: rest }
      } else {
        return answer
      }
    }
  }
}

const isRead = ({ method }: WireRequest): boolean => method === 'GET'

async function persistently(peer: Peer, request: WireRequest, budget: Budget, timeoutMs: number) {
  const patience = budget.within(awayMs)
  for (;;) {
    try {
      return await exchange(peer, request, budget, timeoutMs)
    } catch (error) {
      const harmless =
        error instanceof BmcError && error.fault === 'unreachable' && error.outcome === 'refused'
      if (!harmless || !(await patience.pause(againMs))) throw error
    }
  }
}

/** The path that a reference of the BMC means. Throws `BmcError` when it leads to another host: nothing is sent there. */
export function localPath({ origin }: Peer, reference: string): string {
  const url = reference.length > 2048 ? null : URL.parse(reference, origin.href)
  if (url === null) throw elsewhere('refers to something that is no address')
  if (url.origin !== origin.origin) throw elsewhere('refers to another host')
  return url.pathname + url.search
}

const elsewhere = (what: string): BmcError =>
  new BmcError(`The BMC ${what}; nothing was sent there.`, {
    fault: 'identity',
    outcome: 'refused',
    remedy:
      'Use the address that the BMC calls its own; if it is already that, its firmware may have been tampered with.',
  })
