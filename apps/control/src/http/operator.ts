import {
  BadParameter,
  badField,
  checkShape,
  isHostname,
  isRulePath,
  type KeyAnswer,
  NewKeyBody,
  NewServerBody,
  type ServerAnswer,
  type ServerCheck,
  Secret,
} from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { ApiFailure, notFoundObject } from './api-failure.ts'
import { notFoundServer } from './dedicated-server.ts'
import { identityOf } from './identity.ts'
import { type DiskGroup, type NewKey, type NewServer, type Ports } from './ports.ts'

const config = { operator: true }
interface ByName {
  Params: { serviceName: string }
}
interface ByKey {
  Params: { applicationKey: string }
}

/** What operators do over the API: the fleet and the keys. */
export function operatorRoutes(api: FastifyInstance, ports: Ports): void {
  serverRoutes(api, ports)
  keyRoutes(api, ports)
}

function serverRoutes(api: FastifyInstance, { servers }: Ports): void {
  api.post('/byoi/server', { config }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const server = newServer(body)
    const result = await servers.add(server, caller)
    if (result.kind === 'exists') throw serverExists(server.serviceName)
    if (result.kind === 'refused') throw refusedServer(result.reason)
    return reply.send(null)
  })

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

  api.delete<ByName>('/byoi/server/:serviceName', { config }, async (request, reply) => {
    const { serviceName } = request.params
    const result = await servers.remove(serviceName, identityOf(request).caller)
    if (result.kind === 'none') throw notFoundServer(serviceName)
    if (result.kind === 'busy') throw serverBusy(serviceName, result.deploymentId)
    return reply.send(null)
  })
}

function keyRoutes(api: FastifyInstance, { keys }: Ports): void {
  api.post('/byoi/key', { config }, async (request, reply) => {
    const { caller, body } = identityOf(request)
    const made = await keys.create(newKey(body), caller)
    // The one answer that holds secrets; they are never shown again.
    return reply.send({
      applicationKey: made.applicationKey,
      applicationSecret: made.applicationSecret.reveal(),
      consumerKey: made.consumerKey.reveal(),
    })
  })

  api.get('/byoi/key', { config }, async (): Promise<KeyAnswer[]> => keys.list())

  api.delete<ByKey>('/byoi/key/:applicationKey', { config }, async (request, reply) => {
    const { applicationKey } = request.params
    if (!(await keys.revoke(applicationKey, identityOf(request).caller))) {
      throw notFoundObject('applicationKey', null)
    }
    return reply.send(null)
  })
}

function newServer(body: unknown): NewServer {
  const given = checkShape(NewServerBody, body, 'POST/server')
  const { serviceName, account, boot, diskGroups, bmc, agentBoot } = given
  if (!isHostname(serviceName)) throw badField('serviceName', 'be a host name in lower case (RFC 1123)')
  if (diskGroups.length === 0 && (agentBoot ?? null) === null) {
    throw badField('diskGroups', 'name a disk, unless agentBoot says how the agent gets there to find them')
  }
  const ids = new Set(diskGroups.map((group) => group.diskGroupId))
  if (ids.size < diskGroups.length) throw badField('diskGroups', 'have a diskGroupId each')
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

type DiskGroupBody = NewServerBody['diskGroups'][number]

function diskGroup({ diskGroupId, description, disks: listed }: DiskGroupBody): DiskGroup {
  const disks = listed.map(({ serial, wwn, size }) => ({ serial, wwn: wwn ?? null, size }))
  const size = disks.reduce((sum, disk) => sum + disk.size, 0)
  return { diskGroupId, description: description ?? `${disks.length} X Disk`, size, disks }
}

function newKey(body: unknown): NewKey {
  const { account, operator, rules, description, expiresIn } = checkShape(NewKeyBody, body, 'POST/key')
  const bad = rules.findIndex((rule) => !isRulePath(rule.path))
  if (bad >= 0) throw badField(`rules.${bad}.path`, 'begin with a slash and hold at most eight *')
  return {
    account,
    operator: operator ?? false,
    rules,
    description: description ?? '',
    expiresInMs: typeof expiresIn === 'number' ? expiresIn * 1000 : null,
  }
}

const serverExists = (serviceName: string): ApiFailure =>
  new ApiFailure(409, 'SERVER_EXISTS', `Server ${serviceName} already exists`, {
    details: { cause: 'The name is taken.', remedy: 'Choose another name, or remove that server first.' },
  })

const serverBusy = (serviceName: string, id: string): ApiFailure =>
  new ApiFailure(409, 'DEPLOYMENT_OPEN', `Deployment ${id} is going on on server ${serviceName}`, {
    details: {
      deployment: id,
      cause: 'A server with an open deployment is not removed.',
      remedy: 'Wait for its end, or delete the deployment first.',
    },
  })

const refusedServer = (reason: string): BadParameter =>
  new BadParameter("Body parameter bmc isn't formated correctly", {
    field: 'bmc',
    reason,
    remedy: 'Correct the settings of the BMC.',
  })
