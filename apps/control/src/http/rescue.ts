import { type StartedAnswer } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { notFoundObject } from './api-failure.ts'
import { notFoundServer, ownServer } from './dedicated-server.ts'
import { identityOf } from './identity.ts'
import { serverBusy } from './operator-servers.ts'
import { type Ports } from './ports.ts'

const path = '/byoi/server/:serviceName/rescue'
interface Route {
  Params: { serviceName: string }
}

/** Rescue without a deployment to forget: OVHcloud's DELETE on `bringYourOwnImage` needs one. */
export function rescueRoutes(api: FastifyInstance, { servers, deployments }: Ports): void {
  api.post<Route>(path, async (request): Promise<StartedAnswer> => {
    const { caller } = identityOf(request)
    const { account, serviceName } = await ownServer(servers, caller, request.params.serviceName)
    const result = await deployments.rescue(account, serviceName, caller)
    if (result.kind === 'none') throw notFoundServer(serviceName)
    if (result.kind === 'conflict') throw serverBusy(serviceName, result.id)
    return { id: result.id }
  })

  api.get<Route>(path, async (request) => {
    const { caller } = identityOf(request)
    const { account, serviceName } = await ownServer(servers, caller, request.params.serviceName)
    const view = await deployments.currentRescue(account, serviceName)
    if (view === null) throw notFoundObject('rescue', null)
    return view
  })
}
