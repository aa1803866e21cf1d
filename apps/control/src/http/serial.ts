import { Readable } from 'node:stream'
import {
  checkShape,
  isGranted,
  missingMark,
  PlainTerminalText,
  type SerialTicket,
  SerialTicketBody,
} from '@byoi/contract'
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { ApiFailure, tooMany } from './api-failure.ts'
import { ownServer } from './dedicated-server.ts'
import { ownDeployment } from './deployment.ts'
import { type HttpConfig } from './http-config.ts'
import { identityOf } from './identity.ts'
import { type Ports, type Server } from './ports.ts'
import { logAnswer, logFailure } from './request-log.ts'
import { serveSerial } from './serial-socket.ts'
import { type Upgrades } from './upgrade.ts'

interface ByName {
  Params: { serviceName: string }
  Querystring: { readonly?: string; after?: string }
}
interface ById {
  Params: { id: string }
  Querystring: { from?: string }
}

const consoleQuery = /^(?:readonly|after=[0-9]{1,15}|readonly&after=[0-9]{1,15})$/
const recordingQuery = /^from=-?[0-9]{1,15}$/
/** At one server's console at once, by one replica. */
const maxViewers = 16

/** Serial consoles: what was recorded with a deployment, and a server's console as it is, by WebSocket. */
export function serialRoutes(
  api: FastifyInstance,
  ports: Ports,
  config: HttpConfig,
  upgrades: Upgrades,
): void {
  const { serial, servers } = ports
  const closing = new AbortController()
  api.addHook('preClose', async () => closing.abort())
  const viewers = new Map<number, number>()

  api.get<ById>(
    '/byoi/deployment/:id/serial',
    { config: { query: recordingQuery } },
    async (request, reply) => {
      const { id } = await ownDeployment(ports, identityOf(request).caller, request.params.id)
      const recording = await serial.recording(id, Number(request.query.from ?? 0))
      if (recording === null) throw noRecording(id)
      return sendRecording(request, reply, recording)
    },
  )

  api.get<ByName>(
    '/byoi/server/:serviceName/serial',
    { config: { query: consoleQuery, ticket: true } },
    async (request, reply) => {
      const server = await serverWithConsole(ports, request)
      if (!upgrades.isAsked(request)) throw upgradeRequired()
      const present = viewers.get(server.serverId) ?? 0
      if (present >= maxViewers) throw tooMany(5, `There are ${maxViewers} viewers of this console already.`)
      viewers.set(server.serverId, present + 1)
      upgrades.accept(request, reply, (socket) => {
        const type = mayType(request) ? serial.typist(server, identityOf(request).caller) : null
        const after = request.query.after === undefined ? null : Number(request.query.after)
        const { credentialId } = identityOf(request).consumer
        socket.once('close', () => {
          viewers.set(server.serverId, (viewers.get(server.serverId) ?? 1) - 1)
          logAnswer(request, reply)
        })
        serveSerial({
          socket,
          events: (signal) => serial.follow(server.serverId, after, signal),
          type,
          isStillAllowed: async () =>
            (await ports.credentials.findCredential(credentialId))?.state === 'validated',
          heartbeatMs: config.heartbeatMs,
          closing: closing.signal,
        }).catch((error: unknown) => logFailure(request, error))
      })
      return reply
    },
  )

  api.post<ByName>(
    '/byoi/server/:serviceName/serial/ticket',
    { config: { changesNothing: true } },
    async (request): Promise<SerialTicket> => {
      const { caller, body } = identityOf(request)
      const server = await serverWithConsole(ports, request)
      const { readonly = false } = checkShape(SerialTicketBody, body ?? {}, 'POST/ticket')
      return await serial.issueTicket(server, caller, readonly)
    },
  )

  async function serverWithConsole(ports: Ports, request: FastifyRequest<ByName>): Promise<Server> {
    const server = await ownServer(servers, identityOf(request).caller, request.params.serviceName)
    if (await ports.serial.hasConsole(server.serviceName)) return server
    throw noConsole(server.serviceName)
  }
}

/** Looking needs a rule for GET on the console's path, typing one for POST on the same. */
function mayType(request: FastifyRequest<ByName>): boolean {
  const { consumer, readonly } = identityOf(request)
  if (readonly || request.query.readonly !== undefined) return false
  return isGranted(consumer.rules, 'POST', `/byoi/server/${request.params.serviceName}/serial`)
}

/** The bytes as they were shown; with `Accept: text/plain` what they say, without what they would do to a terminal. */
function sendRecording(
  request: FastifyRequest,
  reply: FastifyReply,
  { from, total, parts }: NonNullable<Awaited<ReturnType<Ports['serial']['recording']>>>,
): FastifyReply {
  const plain = /\btext\/plain\b/.test(request.headers.accept ?? '')
  return reply
    .type(plain ? 'text/plain; charset=utf-8' : 'application/octet-stream')
    .headers({ 'X-Byoi-Serial-From': String(from), 'X-Byoi-Serial-Total': String(total) })
    .send(Readable.from(plain ? plainText(parts) : rawBytes(parts)))
}

type Parts = AsyncIterable<{ missing: number; data: Uint8Array }>

async function* rawBytes(parts: Parts): AsyncGenerator<Buffer> {
  for await (const { missing, data } of parts) {
    if (missing > 0) yield Buffer.from(missingMark(missing))
    yield Buffer.from(data)
  }
}

async function* plainText(parts: Parts): AsyncGenerator<string> {
  const text = new PlainTerminalText()
  for await (const bytes of rawBytes(parts)) yield text.push(bytes).replaceAll('\r', '\n')
}

const noRecording = (id: string): ApiFailure =>
  new ApiFailure(404, 'NOT_RECORDED', `No serial console was recorded with deployment ${id}`, {
    details: {
      cause: 'The server has no serial console, showed nothing, or the recording is older than is kept.',
      remedy: 'Look at the notes of the deployment.',
    },
  })

const noConsole = (serviceName: string): ApiFailure =>
  new ApiFailure(409, 'NO_CONSOLE', `Server ${serviceName} has no serial console`, {
    details: {
      cause: 'Its BMC gives none that byoi can use.',
      remedy: 'Ask the operator for another way to its console.',
    },
  })

const upgradeRequired = (): ApiFailure =>
  new ApiFailure(426, 'UPGRADE_REQUIRED', 'The serial console is a WebSocket', {
    details: { cause: 'The call asks for no upgrade.', remedy: 'Call it with a WebSocket client.' },
    headers: { Upgrade: 'websocket', Connection: 'Upgrade' },
  })
