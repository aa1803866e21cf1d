import { badField, type ByoiRequest, parseByoiRequest } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { ApiFailure } from './api-failure.ts'
import { notFoundServer, ownServer } from './dedicated-server.ts'
import { identityOf } from './identity.ts'
import { ovhStatus } from './ovh-status.ts'
import { type Ports, type Server } from './ports.ts'

const path = '/dedicated/server/:serviceName/bringYourOwnImage'
interface Route {
  Params: { serviceName: string }
}

/** OVHcloud's `bringYourOwnImage`. Void is 200 with `null`: python-ovh fails on an empty 200. */
export function bringYourOwnImageRoutes(api: FastifyInstance, { servers, deployments }: Ports): void {
  api.post<Route>(path, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    const order = parseByoiRequest(body)
    checkDiskGroup(order, server)
    const result = await deployments.start(server.account, server.serviceName, order, caller)
    if (result.kind === 'none') throw notFoundServer(server.serviceName)
    if (result.kind === 'conflict') throw conflict(server.serviceName, result.id)
    return reply.send(null)
  })

  api.get<Route>(path, async (request) => {
    const server = await ownServer(servers, identityOf(request).caller, request.params.serviceName)
    const status = ovhStatus(await deployments.current(server.account, server.serviceName))
    if (status === null) throw notInstalling()
    return status
  })

  api.delete<Route>(path, async (request, reply) => {
    const { caller } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    const result = await deployments.forget(server.account, server.serviceName, caller)
    if (result.kind === 'none') throw notInstalling()
    if (result.kind === 'conflict') throw conflict(server.serviceName, result.id)
    return reply.send(null)
  })
}

function checkDiskGroup({ diskGroupId }: ByoiRequest, server: Server): void {
  if (diskGroupId === null || server.diskGroups.some((group) => group.diskGroupId === diskGroupId)) return
  throw badField('diskGroupId', 'be the id of one of the disk groups of the server')
}

const conflict = (serviceName: string, id: string): ApiFailure =>
  new ApiFailure(409, 'DEPLOYMENT_OPEN', `Deployment ${id} is already going on on server ${serviceName}`, {
    details: {
      deployment: id,
      cause: 'A server takes one deployment at a time.',
      remedy: 'Wait for its end, or DELETE it first.',
    },
  })

/** OVHcloud's sentence for `install/status` of a server where nothing is being installed. */
const notInstalling = (): ApiFailure =>
  new ApiFailure(404, 'NOT_FOUND', 'Server is not being installed or reinstalled at the moment', {
    details: { cause: 'There is no deployment on this server.', remedy: 'Start one with POST.' },
  })
