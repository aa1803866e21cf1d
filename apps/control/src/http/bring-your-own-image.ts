import { parseByoiRequest } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { ApiFailure } from './api-failure.ts'
import { ownServer } from './dedicated-server.ts'
import { identityOf } from './identity.ts'
import { ovhStatus } from './ovh-status.ts'
import { type Ports } from './ports.ts'
import { deploymentOpen, startDeployment } from './start-deployment.ts'

const path = '/dedicated/server/:serviceName/bringYourOwnImage'
interface Route {
  Params: { serviceName: string }
}

/** OVHcloud's `bringYourOwnImage`. Void is 200 with `null`: python-ovh fails on an empty 200. */
export function bringYourOwnImageRoutes(api: FastifyInstance, { servers, deployments }: Ports): void {
  api.post<Route>(path, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    await startDeployment(deployments, server, parseByoiRequest(body), caller)
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
    if (result.kind === 'conflict') throw deploymentOpen(server.serviceName, result.id)
    return reply.send(null)
  })
}

/** OVHcloud's sentence for `install/status` of a server where nothing is being installed. */
const notInstalling = (): ApiFailure =>
  new ApiFailure(404, 'NOT_FOUND', 'Server is not being installed or reinstalled at the moment', {
    details: { cause: 'There is no deployment on this server.', remedy: 'Start one with POST.' },
  })
