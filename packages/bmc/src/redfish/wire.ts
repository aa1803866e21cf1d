import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { type TLSSocket } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import { BmcError } from '../bmc.ts'
import { type Budget } from './budget.ts'
import { open, type Peer, unreachable } from './connection.ts'

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

const maxBytes = 4 * 1024 * 1024

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

/** `what` goes on from "What it answered". */
export function garbled(
  { origin }: Peer,
  what: string,
  outcome: BmcError['outcome'],
  cause?: unknown,
): BmcError {
  return new BmcError(`What the BMC at ${origin.host} answered ${what}.`, {
    fault: 'garbled',
    outcome,
    remedy: 'Check that the address is that of a BMC that speaks Redfish, then restart or update the BMC.',
    cause,
  })
}
