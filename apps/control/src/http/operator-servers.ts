import {
  BadParameter,
  badField,
  checkAgentBoot,
  checkShape,
  isHostname,
  type NetbootAnswer,
  NewServerBody,
  Secret,
  type ServerAnswer,
  ServerChangeBody,
  type ServerCheck,
  type StartedAnswer,
} from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { ApiFailure } from './api-failure.ts'
import { notFoundServer } from './dedicated-server.ts'
import { identityOf } from './identity.ts'
import { type DiskGroup, type NewServer, type Ports, type ServerChange } from './ports.ts'

const config = { operator: true }
interface ByName {
  Params: { serviceName: string }
}

/** The fleet; for operators. */
export function operatorServerRoutes(api: FastifyInstance, ports: Ports): void {
  changeRoutes(api, ports)
  lookRoutes(api, ports)
}

function changeRoutes(api: FastifyInstance, { servers }: Ports): void {
  api.post('/byoi/server', { config }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const server = newServer(body)
    const result = await servers.add(server, caller)
    if (result.kind === 'exists') throw serverExists(server.serviceName)
    if (result.kind === 'refused') throw refusedServer(result.reason)
    return reply.send(null)
  })

  api.put<ByName>('/byoi/server/:serviceName', { config }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const { serviceName } = request.params
    const server = await servers.show(serviceName)
    if (server === null) throw notFoundServer(serviceName)
    const result = await servers.set(serviceName, serverChange(body, server.boot), caller)
    if (result.kind === 'none') throw notFoundServer(serviceName)
    if (result.kind === 'busy') throw serverBusy(serviceName, result.deploymentId)
    if (result.kind === 'refused') throw refusedServer(result.reason)
    return reply.send(null)
  })

  api.delete<ByName>('/byoi/server/:serviceName', { config }, async (request, reply) => {
    const { serviceName } = request.params
    const result = await servers.remove(serviceName, identityOf(request).caller)
    if (result.kind === 'none') throw notFoundServer(serviceName)
    if (result.kind === 'busy') throw serverBusy(serviceName, result.deploymentId)
    return reply.send(null)
  })
}

function lookRoutes(api: FastifyInstance, ports: Ports): void {
  const { servers, deployments } = ports
  api.get('/byoi/server', { config }, async (): Promise<ServerAnswer[]> => servers.listAll())

  api.get<ByName>('/byoi/server/:serviceName', { config }, async (request): Promise<ServerAnswer> => {
    const server = await servers.show(request.params.serviceName)
    if (server === null) throw notFoundServer(request.params.serviceName)
    return server
  })

  api.post<ByName>('/byoi/server/:serviceName/check', { config }, async (request): Promise<ServerCheck> => {
    const { serviceName } = request.params
    const found = await servers.check(serviceName)
    if (found === null) throw notFoundServer(serviceName)
    return found
  })

  api.post<ByName>(
    '/byoi/server/:serviceName/inspect',
    { config },
    async (request): Promise<StartedAnswer> => {
      const { serviceName } = request.params
      const result = await deployments.inspect(serviceName, identityOf(request).caller)
      if (result.kind === 'none') throw notFoundServer(serviceName)
      if (result.kind === 'conflict') throw serverBusy(serviceName, result.id)
      return { id: result.id }
    },
  )

  api.get('/byoi/netboot', { config }, async (): Promise<NetbootAnswer> => {
    const found = ports.netboot()
    if (found === null) throw noProvisioning()
    return found
  })
}

function newServer(body: unknown): NewServer {
  const given = checkShape(NewServerBody, body, 'POST/server')
  const { serviceName, account, boot, diskGroups, bmc, agentBoot } = given
  if (!isHostname(serviceName)) throw badField('serviceName', 'be a host name in lower case (RFC 1123)')
  checkGroups(diskGroups)
  if (agentBoot) checkAgentBoot(agentBoot, boot)
  if (diskGroups.length === 0 && (agentBoot ?? null) === null) {
    throw badField('diskGroups', 'name a disk, unless agentBoot says how the agent gets there to find them')
  }
  return {
    serviceName,
    account,
    boot,
    diskGroups: diskGroups.map(diskGroup),
    agentBoot: agentBoot ?? null,
    bmc: {
      kind: bmc.kind,
      settings: bmc.settings,
      password: typeof bmc.password === 'string' ? new Secret(bmc.password) : null,
    },
  }
}

function serverChange(body: unknown, boot: NewServer['boot']): ServerChange {
  const { bmc, agentBoot, diskGroups } = checkShape(ServerChangeBody, body, 'PUT/server')
  if (agentBoot !== undefined) checkAgentBoot(agentBoot, boot)
  if (diskGroups !== undefined) checkGroups(diskGroups)
  return {
    ...(bmc?.settings === undefined ? {} : { settings: bmc.settings }),
    ...(bmc?.password === undefined ? {} : { password: new Secret(bmc.password) }),
    ...(agentBoot === undefined ? {} : { agentBoot }),
    ...(diskGroups === undefined ? {} : { diskGroups: diskGroups.map(diskGroup) }),
  }
}

type DiskGroupBody = NewServerBody['diskGroups'][number]

function checkGroups(groups: DiskGroupBody[]): void {
  const ids = new Set(groups.map((group) => group.diskGroupId))
  if (ids.size < groups.length) throw badField('diskGroups', 'have a diskGroupId each')
}

function diskGroup({ diskGroupId, description, disks: listed }: DiskGroupBody): DiskGroup {
  const disks = listed.map(({ serial, wwn, size }) => ({ serial, wwn: wwn ?? null, size }))
  const size = disks.reduce((sum, disk) => sum + disk.size, 0)
  return { diskGroupId, description: description ?? `${disks.length} X Disk`, size, disks }
}

const serverExists = (serviceName: string): ApiFailure =>
  new ApiFailure(409, 'SERVER_EXISTS', `Server ${serviceName} already exists`, {
    details: { cause: 'The name is taken.', remedy: 'Choose another name, or remove that server first.' },
  })

export const serverBusy = (serviceName: string, id: string): ApiFailure =>
  new ApiFailure(409, 'DEPLOYMENT_OPEN', `Deployment ${id} is going on on server ${serviceName}`, {
    details: {
      deployment: id,
      cause: 'Nothing else is done with a server while a deployment is open on it.',
      remedy: 'Wait for its end, or delete the deployment first.',
    },
  })

const refusedServer = (reason: string): BadParameter =>
  new BadParameter(`The server cannot be used as it is described. ${reason}`, {
    field: 'bmc',
    reason,
    remedy: 'Correct what the server and its BMC are described by.',
  })

const noProvisioning = (): ApiFailure =>
  new ApiFailure(404, 'NOT_FOUND', 'This control plane has no provisioning listener', {
    details: {
      cause: 'It was started without one, so no real server can boot from it.',
      remedy: 'Start it with byoi up --provisioning HOST:PORT.',
    },
  })
