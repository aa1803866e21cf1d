import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Logger } from 'pino'
import { type Rate } from '../http/http-config.ts'
import { RateLimit } from '../http/rate-limit.ts'
import { isAway } from '../store/database.ts'
import { NoRamdisk } from './ramdisk.ts'
import { type ProvisioningReply, type ProvisioningRequest, type ProvisioningRoute } from './route.ts'
import { Turns } from './turns.ts'

export interface ProvisioningLimits {
  /** Longest time for the head of a request, in ms. */
  headTimeoutMs: number
  /** A peer that takes no byte for so long is cut off, in ms. */
  idleTimeoutMs: number
  /** Longest time for one answer, in ms: who reads slower than this allows is cut off. */
  answerTimeoutMs: number
  connections: number
  /** Questions to the database at a time: the API, which shares it, must not starve. */
  questions: number
  /** Requests of one address for what is not there, before it is not looked for any more. */
  misses: Rate
}

export const defaultLimits: ProvisioningLimits = {
  headTimeoutMs: 10_000,
  idleTimeoutMs: 30_000,
  answerTimeoutMs: 15 * 60_000,
  connections: 512,
  questions: 16,
  misses: { perSecond: 5, burst: 50 },
}

const maxHeaderBytes = 8192
const maxTargetLength = 1024

/**
 * The provisioning listener, ready for `listen`: plain HTTP for firmware, boot programs and BMCs, apart from the API. It knows the
 * given routes and nothing else; whatever is wrong with a request for them, the answer is the same 404.
 */
export function createProvisioningServer(
  routes: readonly ProvisioningRoute[],
  logger: Logger,
  limits: ProvisioningLimits = defaultLimits,
): Server {
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.headTimeoutMs,
    connectionsCheckingInterval: Math.min(limits.headTimeoutMs, 2000),
    keepAliveTimeout: limits.idleTimeoutMs,
  })
  server.timeout = limits.idleTimeoutMs
  server.maxConnections = limits.connections
  server.on('clientError', (_error, socket) => socket.destroy())
  const answering: Answering = {
    routes,
    logger,
    misses: new RateLimit(limits.misses),
    turns: new Turns(limits.questions),
  }
  server.on('request', (raw: IncomingMessage, response: ServerResponse) => {
    const cut = setTimeout(() => response.destroy(), limits.answerTimeoutMs)
    response.once('close', () => clearTimeout(cut))
    serve(answering, raw, response).catch((error: unknown) => {
      logger.error({ err: error }, 'a provisioning request could not be answered')
      response.destroy()
    })
  })
  return server
}

interface Answering {
  routes: readonly ProvisioningRoute[]
  logger: Logger
  misses: RateLimit
  turns: Turns
}

async function serve(answering: Answering, raw: IncomingMessage, response: ServerResponse): Promise<void> {
  const { routes, misses, logger } = answering
  const address = addressOf(raw)
  const found = match(routes, raw, address)
  const reply = found === null || misses.wait(address) > 0 ? null : await answer(answering, found)
  const { status, headers, body, close } = reply ?? nothingHere
  if (reply === null) misses.take(address)
  try {
    response.writeHead(status, { ...headers, 'Cache-Control': 'no-store' })
    if (raw.method === 'HEAD' || body === null) response.end()
    else if (body instanceof Uint8Array) response.end(body)
    else await pipeline(Readable.from(body, { objectMode: true }), response)
  } catch (error) {
    if (!isHangUp(error)) throw error
  } finally {
    await close?.()
    logger.info({ route: found?.route.name ?? null, method: raw.method, status, address }, 'provisioned')
  }
}

const nothingHere: ProvisioningReply = {
  status: 404,
  headers: { 'Content-Length': 0, Connection: 'close' },
  body: null,
}
const later: ProvisioningReply = {
  status: 503,
  headers: { 'Content-Length': 0, 'Retry-After': 5 },
  body: null,
}

interface Found {
  route: ProvisioningRoute
  request: ProvisioningRequest
}

function match(routes: readonly ProvisioningRoute[], raw: IncomingMessage, address: string): Found | null {
  const { url: target = '', method = '', headers } = raw
  if (target.length > maxTargetLength) return null
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  for (const route of routes) {
    const parts = route.path.exec(path)
    if (parts === null || !route.methods.includes(method)) continue
    const reads = method === 'GET' || method === 'HEAD'
    if (reads && (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'))
      return null
    const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))
    return { route, request: { method, parts: parts.slice(1), query, address, raw } }
  }
  return null
}

/** Faults of ours are 503: firmware and BMCs ask again. */
async function answer(
  { turns, logger }: Answering,
  { route, request }: Found,
): Promise<ProvisioningReply | null> {
  try {
    return await turns.take(() => route.answer(request))
  } catch (error) {
    if (error instanceof NoRamdisk) logger.error(`${error.message} ${error.remedy}`)
    else
      logger[isAway(error) ? 'warn' : 'error'](
        { err: error, route: route.name },
        'a provisioning request failed',
      )
    return later
  }
}

const addressOf = ({ socket }: IncomingMessage): string =>
  (socket.remoteAddress ?? '').replace(/^::ffff:(?=[0-9.]+$)/, '')

/** The peer went away, or was cut off. */
const isHangUp = (error: unknown): boolean =>
  ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ECONNRESET', 'EPIPE', 'ABORT_ERR'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  )
