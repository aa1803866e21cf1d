import { randomBytes } from 'node:crypto'
import { type Socket } from 'node:net'
import {
  fastify,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  LogController,
} from 'fastify'
import { type Logger } from 'pino'
import { badRequest, errorBody, notFoundRoute, toApiFailure } from './api-failure.ts'
import { createAuthentication } from './authenticate.ts'
import { authRoutes } from './auth.ts'
import { bringYourOwnImageRoutes } from './bring-your-own-image.ts'
import { dedicatedServerRoutes } from './dedicated-server.ts'
import { deploymentRoutes } from './deployment.ts'
import { type HttpConfig } from './http-config.ts'
import { keyRoutes } from './operator-keys.ts'
import { operatorServerRoutes } from './operator-servers.ts'
import { type Ports } from './ports.ts'
import { rescueRoutes } from './rescue.ts'
import { logAnswer, logFailure } from './request-log.ts'
import { checkForm } from './request-form.ts'
import { serialRoutes } from './serial.ts'
import { signingKeyRoutes } from './signing-keys.ts'
import { routeOf } from './target.ts'
import { isWebSocketCall, routeUpgrades, type Upgrades } from './upgrade.ts'

const maxBodyBytes = 1024 * 1024

export interface HttpOptions {
  ports: Ports
  config: HttpConfig
  logger: Logger
  /** Other routes, each in a context of its own: nothing of OVHcloud's API (hooks, errors, body as JSON) applies to them. */
  plugins?: FastifyPluginAsync[]
}

/** The HTTP side of the control plane, ready for `listen`. OVHcloud's API and ours are under `/1.0` and `/v1`. */
export function createHttp({ ports, config, logger, plugins = [] }: HttpOptions): FastifyInstance {
  const app = createFastify(config, logger)
  app.decorateRequest('identity', null)
  app.setNotFoundHandler((_request, reply) => refuse(reply, notFoundRoute()))
  app.addHook('onResponse', async (request, reply) => logAnswer(request, reply))
  const upgrades = routeUpgrades(app)
  app.register(async (api) => addApi(api, ports, config, upgrades), { prefix: '/1.0' })
  for (const plugin of plugins) app.register(plugin)
  return app
}

async function addApi(
  api: FastifyInstance,
  ports: Ports,
  config: HttpConfig,
  upgrades: Upgrades,
): Promise<void> {
  // The signature covers the bytes as sent, so bodies stay bytes until it is verified; their type is judged by checkForm.
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  api.addHook('onRequest', async (request, reply) => {
    setHeaders(reply, request.id)
    checkForm(request)
  })
  const { authenticate, countChange } = createAuthentication(ports, config)
  api.addHook('preHandler', authenticate)
  api.addHook('onResponse', countChange)
  api.setErrorHandler((error, request, reply) => {
    const failure = toApiFailure(error)
    if (failure.status >= 500) logFailure(request, error)
    return refuse(reply, failure)
  })
  api.setNotFoundHandler((_request, reply) => refuse(reply, notFoundRoute()))
  api.options('/*', { config: { anonymous: true } }, async (_request, reply) =>
    reply.header('Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE').send(null),
  )
  authRoutes(api, ports)
  dedicatedServerRoutes(api, ports)
  bringYourOwnImageRoutes(api, ports)
  deploymentRoutes(api, ports, config)
  rescueRoutes(api, ports)
  signingKeyRoutes(api, ports)
  serialRoutes(api, ports, config, upgrades)
  operatorServerRoutes(api, ports)
  keyRoutes(api, ports)
}

function createFastify(config: HttpConfig, logger: Logger): FastifyInstance {
  const node = {
    headersTimeout: config.headTimeoutMs,
    // How often node looks for connections past their time.
    connectionsCheckingInterval: Math.min(config.headTimeoutMs, 2000),
    shouldUpgradeCallback: isWebSocketCall,
  }
  const options = {
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    requestTimeout: config.requestTimeoutMs,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 300 },
    genReqId: () => `byoi.${randomBytes(12).toString('hex')}`,
    rewriteUrl: (request: { url?: string | undefined }) => routeOf(request.url ?? '/'),
    clientErrorHandler,
  }
  if (config.tls === null) return fastify({ ...options, http: node }) as unknown as FastifyInstance
  const https = { ...node, ...config.tls, minVersion: 'TLSv1.2' as const }
  return fastify({ ...options, https }) as unknown as FastifyInstance
}

/** As OVHcloud answers: query id, open CORS (a signature needs a secret that no page has), nothing cached. */
function setHeaders(reply: FastifyReply, queryId: string): void {
  reply.headers({
    'X-Ovh-QueryID': queryId,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers':
      'X-Ovh-Timestamp, X-Ovh-Consumer, X-Ovh-Application, X-Ovh-Signature, X-Ovh-Session, Authorization, Content-Type, Last-Event-ID',
    'Access-Control-Expose-Headers': 'X-Ovh-QueryID, Retry-After',
    'Cache-Control': 'no-cache,no-store',
    'X-Content-Type-Options': 'nosniff',
  })
}

function refuse(reply: FastifyReply, failure: ReturnType<typeof toApiFailure>): FastifyReply {
  return reply
    .code(failure.status)
    .headers(failure.headers)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(errorBody(failure)))
}

/** Requests that node's parser gives up on never reach a handler; they are answered in the same form. */
function clientErrorHandler(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const body = JSON.stringify(errorBody(badRequest(status)))
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
