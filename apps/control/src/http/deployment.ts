import { checkShape, parseDeploymentRequest, ResolveBody, type StartedAnswer } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { ApiFailure, notFoundObject } from './api-failure.ts'
import { ownServer } from './dedicated-server.ts'
import { sendEvents } from './events.ts'
import { type HttpConfig } from './http-config.ts'
import { identityOf, scopeOf } from './identity.ts'
import { type Caller, type Ports } from './ports.ts'
import { startDeployment } from './start-deployment.ts'

interface ById {
  Params: { id: string }
}

interface OfServer {
  Params: { serviceName: string }
}

/** Our own routes beside OVHcloud's: a deployment with all that byoi can do, in full, its events, an operator's decision on a hold. */
export function deploymentRoutes(api: FastifyInstance, ports: Ports, config: HttpConfig): void {
  const { deployments, servers, health } = ports
  const closing = new AbortController()
  api.addHook('preClose', async () => closing.abort())

  api.post<OfServer>('/byoi/server/:serviceName/deployment', async (request): Promise<StartedAnswer> => {
    const { caller, body } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    return { id: await startDeployment(deployments, server, parseDeploymentRequest(body), caller) }
  })

  api.get<OfServer>('/byoi/server/:serviceName/deployment', async (request) => {
    const { caller } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    const view = await deployments.current(server.account, server.serviceName)
    if (view === null) throw notFoundObject('deployment', null)
    return view
  })

  api.get<ById>('/byoi/deployment/:id', async (request) =>
    ownDeployment(ports, identityOf(request).caller, request.params.id),
  )

  api.get<ById>('/byoi/deployment/:id/events', async (request, reply) => {
    const { id } = await ownDeployment(ports, identityOf(request).caller, request.params.id)
    return sendEvents(request, reply, ports, id, config.heartbeatMs, closing.signal)
  })

  api.post<ById>('/byoi/deployment/:id/resolve', { config: { operator: true } }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const { id } = await ownDeployment(ports, caller, request.params.id)
    const { decision } = checkShape(ResolveBody, body, 'POST/resolve')
    const result = await deployments.resolveHold(id, decision, caller)
    if (result.kind === 'none') throw notFoundObject('id', id)
    if (result.kind === 'not-held') throw notHeld(id)
    return reply.send(null)
  })

  api.get('/byoi/health', { config: { anonymous: true } }, async (_request, reply) => {
    const ready = await health.ready()
    return reply.code(ready ? 200 : 503).send({ ready })
  })
}

/** The account's deployment, or any for an operator. */
export async function ownDeployment({ deployments }: Ports, caller: Caller, id: string) {
  const view = /^[A-Za-z0-9-]{1,64}$/.test(id) ? await deployments.byId(scopeOf(caller), id) : null
  if (view === null) throw notFoundObject('id', /^[A-Za-z0-9-]{1,64}$/.test(id) ? id : null)
  return view
}

const notHeld = (id: string): ApiFailure =>
  new ApiFailure(409, 'NOT_HELD', `Deployment ${id} is not on hold`, {
    details: { cause: 'Only a deployment on hold waits for a decision.', remedy: 'Read its state first.' },
  })
