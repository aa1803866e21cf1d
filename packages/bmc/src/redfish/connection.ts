import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { isIP } from 'node:net'
import { connect, createSecureContext, type TLSSocket } from 'node:tls'
import { BmcError } from '../bmc.ts'
import { type Budget } from './budget.ts'

/** Where a BMC is and how it is known. */
export interface Peer {
  origin: URL
  /** base64 of the SHA-256 of the certificate's SubjectPublicKeyInfo; null: whoever answers, and no credentials are sent. */
  spki: string | null
}

/** Made once: each new one reads all certificate authorities, of which none is asked. */
const secureContext = createSecureContext()
const connectMs = 15_000

/** Throws an Error with one sentence when the address is not `https://HOST[:PORT]`. */
export function parseAddress(address: string): URL {
  const url = URL.parse(address)
  const plain = url !== null && url.protocol === 'https:' && url.username === '' && url.password === ''
  if (!plain || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error('The address of a Redfish BMC must be https://HOST or https://HOST:PORT.')
  }
  return url
}

/** A connection to the BMC that was enrolled. */
export async function open(peer: Peer, budget: Budget): Promise<TLSSocket> {
  const host = peer.origin.hostname.replace(/^\[|\]$/g, '')
  const timeout = budget.clock.timeout(Math.min(connectMs, budget.left()))
  const socket = connect({
    host,
    port: Number(peer.origin.port || 443),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    secureContext,
    // BMCs sign their certificates themselves: who it is, is told by the pinned key.
    rejectUnauthorized: false,
  })
  socket.on('error', () => undefined)
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.any([budget.signal, timeout]) })
  } catch (error) {
    socket.destroy()
    budget.signal.throwIfAborted()
    throw unreachable(peer, timeout.aborted ? 'did not answer in time' : failureOf(error), 'refused', error)
  }
  if (peer.spki !== null && pinOf(socket) !== peer.spki) {
    socket.destroy()
    throw new BmcError(`The certificate of ${peer.origin.host} is not the one that was enrolled.`, {
      fault: 'identity',
      outcome: 'refused',
      remedy:
        'If its certificate was renewed on purpose, enrol the BMC again; otherwise find out who answers there.',
    })
  }
  return socket
}

/** base64 of the SHA-256 of the peer certificate's SubjectPublicKeyInfo (as in RFC 7469, section 2.4); null: none is there. */
export function pinOf(socket: TLSSocket): string | null {
  try {
    const spki = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' })
    return spki === undefined ? null : createHash('sha256').update(spki).digest('base64')
  } catch {
    // A key of a kind that OpenSSL does not know.
    return null
  }
}

const failureOf = (error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'refused the connection'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'has a name that cannot be resolved'
  return 'could not be connected to'
}

type Outcome = BmcError['outcome']

export function unreachable({ origin }: Peer, what: string, outcome: Outcome, cause: unknown): BmcError {
  return new BmcError(`The BMC at ${origin.host} ${what}.`, {
    fault: 'unreachable',
    outcome,
    remedy: 'Check its address, its network and that its web server is on.',
    cause,
  })
}
