import { badField, type ByoiRequest } from '@byoi/contract'
import { ApiFailure } from './api-failure.ts'
import { namedDisks } from './named-disks.ts'
import { notFoundServer } from './dedicated-server.ts'
import { type Caller, type Deployments, type Server } from './ports.ts'

/** Starts a deployment, whichever call asked for it, and gives its id. @throws ApiFailure, BadParameter */
export async function startDeployment(
  deployments: Deployments,
  server: Server,
  request: ByoiRequest,
  caller: Caller,
): Promise<string> {
  checkDiskGroup(request, server)
  if (namedDisks(server.diskGroups, request.disks) === null)
    throw badField('disks', 'name disks of the server by serial number or WWN, each of them once')
  const result = await deployments.start(server.account, server.serviceName, request, caller)
  if (result.kind === 'none') throw notFoundServer(server.serviceName)
  if (result.kind === 'conflict') throw deploymentOpen(server.serviceName, result.id)
  if (result.kind === 'unknown-key')
    throw badField('keyNames', `name signing keys of the account, of which ${result.name} is none`)
  return result.id
}

function checkDiskGroup({ diskGroupId }: ByoiRequest, server: Server): void {
  if (diskGroupId === null || server.diskGroups.some((group) => group.diskGroupId === diskGroupId)) return
  throw badField('diskGroupId', 'be the id of one of the disk groups of the server')
}

export const deploymentOpen = (serviceName: string, id: string): ApiFailure =>
  new ApiFailure(409, 'DEPLOYMENT_OPEN', `Deployment ${id} is already going on on server ${serviceName}`, {
    details: {
      deployment: id,
      cause: 'A server takes one deployment at a time.',
      remedy: 'Wait for its end, or DELETE it first.',
    },
  })
