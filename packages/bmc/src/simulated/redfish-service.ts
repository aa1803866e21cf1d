import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { type Clock } from '../bmc.ts'
import { realClock } from '../clock.ts'
import { type Answer, errorAnswer, type Exchange, type Handler, Refusal } from './exchange.ts'
import { type FaultName, FaultSwitches } from './fault-switches.ts'
import { type Machine } from './machine.ts'
import { redfishModel } from './redfish-model.ts'
import { paths } from './resources.ts'
import { Sessions } from './sessions.ts'

export interface RedfishServiceOptions {
  machine: Machine
  user: string
  password: string
  /** PEM. null: plain HTTP, for loopback only: passwords are sent in it. */
  tls: { key: string; cert: string } | null
  host: string
  /** 0: any free one. */
  port: number
  /** Misbehaviours that are on from the start. */
  faults?: readonly FaultName[]
  clock?: Clock
}

export interface RedfishService {
  /** `https://HOST:PORT`, or `http://` without TLS. */
  url: string
  faults: FaultSwitches
  /** All that was asked, in order. */
  requests: readonly Exchange[]
  sessions: Sessions
  close(): Promise<void>
}

const maxBody = 1024 * 1024

/** A BMC that speaks Redfish (DSP0266) over a machine: one system, one manager, one virtual CD. */
export async function startRedfishService(options: RedfishServiceOptions): Promise<RedfishService> {
  const { machine, user, password, tls, host, clock = realClock } = options
  const sessions = new Sessions(user, password, clock)
  const faults = new FaultSwitches({ machine, sessions, clock, paths: paths(machine.identity.uuid) })
  for (const name of options.faults ?? []) faults.on(name)
  const requests: Exchange[] = []
  const model = authenticated(redfishModel(machine, sessions, user), sessions)

  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const exchange = await readExchange(request).catch(() => null)
    if (exchange === null) {
      request.socket.destroy()
      return
    }
    requests.push(exchange)
    send(request, response, await faults.answer(exchange, model))
  }
  const onRequest = (request: IncomingMessage, response: ServerResponse) => void listener(request, response)
  const server = tls === null ? createServer(onRequest) : createTlsServer(tls, onRequest)
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    faults,
    requests,
    sessions,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** The service root is open to everybody, and so is logging in (DSP0266, "Authentication"). */
function authenticated(model: Handler, sessions: Sessions): Handler {
  const open = new Set(['GET /redfish', 'GET /redfish/v1', 'POST /redfish/v1/SessionService/Sessions'])
  return async (exchange) => {
    const path = exchange.path.replace(/\/$/, '')
    if (open.has(`${exchange.method} ${path}`) || sessions.isAuthorized(exchange))
      return await refused(model, exchange)
    const answer = errorAnswer(401, 'Base.1.18.NoValidSession', 'There is no valid session.')
    return { ...answer, headers: { 'WWW-Authenticate': 'Basic realm="Redfish"' } }
  }
}

async function refused(model: Handler, exchange: Exchange): Promise<Answer> {
  try {
    return await model(exchange)
  } catch (error) {
    if (error instanceof Refusal) return errorAnswer(error.status, error.messageId, error.message)
    return errorAnswer(500, 'Base.1.18.InternalError', (error as Error).message)
  }
}

async function readExchange(request: IncomingMessage): Promise<Exchange> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBody) throw new Error('The request is too large')
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  const { pathname } = new URL(request.url ?? '/', 'http://bmc')
  return {
    method: request.method ?? 'GET',
    path: pathname,
    headers: request.headers as Record<string, string>,
    body: text === '' ? undefined : parse(text),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  if (status === 0) {
    request.socket.destroy()
    return
  }
  const json = body !== undefined && typeof body !== 'string'
  const content = json ? JSON.stringify(body) : (body ?? '')
  response.writeHead(status, {
    'OData-Version': '4.0',
    'Cache-Control': 'no-store',
    ...(json ? { 'Content-Type': 'application/json' } : {}),
    ...(status === 204 ? {} : { 'Content-Length': Buffer.byteLength(content) }),
    ...headers,
  })
  response.end(status === 204 ? undefined : content)
}
