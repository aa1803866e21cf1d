import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { isIP } from 'node:net'
import { connect, createSecureContext, type TLSSocket } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import { BmcError } from '../bmc.ts'
import { type Budget } from './budget.ts'

/** Where a BMC is and how it is known. */
export interface Peer {
  origin: URL
  /** base64 of the SHA-256 of the certificate's SubjectPublicKeyInfo; null: whoever answers, and no credentials are sent. */
  spki: string | null
}

export interface WireRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  headers: Record<string, string>
  body?: string
}

export interface WireAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/** Made once: each new one reads all certificate authorities, of which none is asked. */
const secureContext = createSecureContext()
const connectMs = 15_000
const maxBytes = 4 * 1024 * 1024

/** Throws an Error with one sentence when the address is not `https://HOST[:PORT]`. */
export function parseAddress(address: string): URL {
  const url = URL.parse(address)
  const plain = url !== null && url.protocol === 'https:' && url.username === '' && url.password === ''
  if (!plain || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error('The address of a Redfish BMC must be https://HOST or https://HOST:PORT.')
  }
  return url
}

/**
 * One request on a connection of its own: BMCs are known to choke on connections that are kept. Nothing is sent before the
 * certificate's key has been found to be the pinned one. Throws `BmcError`, or the signal's reason when the caller gave up.
 */
export async function exchange(
  peer: Peer,
  request: WireRequest,
  budget: Budget,
  timeoutMs: number,
): Promise<WireAnswer> {
  const socket = await open(peer, budget)
  const timeout = budget.clock.timeout(Math.min(timeoutMs, budget.left()))
  const stop = () => socket.destroy(new Error('stopped'))
  const either = AbortSignal.any([budget.signal, timeout])
  either.addEventListener('abort', stop)
  try {
    either.throwIfAborted()
    return await converse(socket, peer.origin, request)
  } catch (error) {
    budget.signal.throwIfAborted()
    const outcome = request.method === 'GET' ? 'refused' : 'unknown'
    if (error instanceof Garbled) throw garbled(peer, error.message, outcome, error)
    throw unreachable(peer, timeout.aborted ? 'did not answer in time' : 'broke off', outcome, error)
  } finally {
    either.removeEventListener('abort', stop)
    socket.destroy()
  }
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

class Garbled extends Error {}

async function converse(socket: TLSSocket, origin: URL, wanted: WireRequest): Promise<WireAnswer> {
  const { method, path, body } = wanted
  const headers = {
    Host: origin.host,
    Connection: 'close',
    ...wanted.headers,
    ...(body === undefined
      ? {}
      : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
  }
  const request = httpRequest({ createConnection: () => socket, method, path, headers })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  request.on('error', () => undefined)
  request.end(body)
  try {
    const [response] = await answered
    const bytes = await readAll(response)
    const packed = response.headers['content-encoding'] === 'gzip'
    const text = (packed ? unpack(bytes) : bytes).toString()
    return { status: response.statusCode ?? 0, headers: response.headers, text }
  } catch (error) {
    // Codes of Node's HTTP parser: what came is no HTTP.
    if (String((error as NodeJS.ErrnoException).code).startsWith('HPE_')) throw new Garbled('is not HTTP')
    throw error
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) throw new Garbled(`is longer than ${maxBytes / 1024 / 1024} MiB`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function unpack(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes })
  } catch {
    throw new Garbled('cannot be decompressed')
  }
}

const failureOf = (error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'refused the connection'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'has a name that cannot be resolved'
  return 'could not be connected to'
}

type Outcome = BmcError['outcome']

function unreachable({ origin }: Peer, what: string, outcome: Outcome, cause: unknown): BmcError {
  return new BmcError(`The BMC at ${origin.host} ${what}.`, {
    fault: 'unreachable',
    outcome,
    remedy: 'Check its address, its network and that its web server is on.',
    cause,
  })
}

/** `what` goes on from "What it answered". */
export function garbled({ origin }: Peer, what: string, outcome: Outcome, cause?: unknown): BmcError {
  return new BmcError(`What the BMC at ${origin.host} answered ${what}.`, {
    fault: 'garbled',
    outcome,
    remedy: 'Check that the address is that of a BMC that speaks Redfish, then restart or update the BMC.',
    cause,
  })
}
