import { type DedicatedServer } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { notFoundObject } from './api-failure.ts'
import { identityOf } from './identity.ts'
import { readOwnerChange } from './owner-change.ts'
import { type Caller, type Ports, type Server } from './ports.ts'
import { impossibleName } from './target.ts'

/** OVHcloud's `/dedicated/server`: the caller's servers; all of them for an operator. */
export function dedicatedServerRoutes(api: FastifyInstance, { servers }: Ports): void {
  api.get('/dedicated/server', async (request) => {
    const { caller } = identityOf(request)
    if (!caller.operator) return servers.list(caller.account)
    return (await servers.listAll()).map(({ serviceName }) => serviceName)
  })

  api.get<{ Params: { serviceName: string } }>('/dedicated/server/:serviceName', async (request) =>
    dedicatedServer(await ownServer(servers, identityOf(request).caller, request.params.serviceName)),
  )

  api.put<{ Params: { serviceName: string } }>('/dedicated/server/:serviceName', async (request, reply) => {
    const { caller, body } = identityOf(request)
    const server = await ownServer(servers, caller, request.params.serviceName)
    const change = readOwnerChange(body, dedicatedServer(server))
    const { account, serviceName } = server
    if (!(await servers.change(account, serviceName, change, caller))) throw notFoundServer(serviceName)
    return reply.send(null)
  })
}

/**
 * The account's server, or any server for an operator. Absent, foreign and malformed names cost the same and end in the
 * same 404.
 */
export async function ownServer(
  servers: Ports['servers'],
  caller: Caller,
  serviceName: string,
): Promise<Server> {
  const server = caller.operator
    ? await servers.show(serviceName)
    : await servers.find(caller.account, serviceName)
  if (server === null) throw notFoundServer(serviceName)
  return server
}

export const notFoundServer = (serviceName: string) =>
  notFoundObject('serviceName', serviceName === impossibleName ? null : serviceName)

/** `dedicated.server.DedicatedWithIAM`. Real JSON types: terraform's provider decodes null but no wrong type. */
const dedicatedServer = (server: Server): DedicatedServer => ({
  availabilityZone: 'byoi',
  bootId: null,
  bootScript: null,
  commercialRange: null,
  datacenter: null,
  efiBootloaderPath: server.efiBootloaderPath,
  iam: null,
  ip: null,
  linkSpeed: null,
  monitoring: false,
  name: server.serviceName,
  newUpgradeSystem: true,
  noIntervention: false,
  os: server.ownImage ? 'byoi_64' : 'none_64',
  powerState: server.powerState,
  professionalUse: false,
  rack: null,
  region: 'byoi',
  rescueMail: null,
  rescueSshKey: server.rescueSshKey,
  reverse: null,
  rootDevice: null,
  serverId: server.serverId,
  state: 'ok',
  supportLevel: 'pro',
})
