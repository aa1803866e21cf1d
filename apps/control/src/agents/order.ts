import { type DeployOrder, type DiskFacts, type Order } from '@byoi/contract'
import { namedDisks } from '../http/named-disks.ts'
import { type DiskGroup } from '../http/ports.ts'
import { phoneHomeUrl } from '../serial/phone-home.ts'
import { type DeploymentSecrets, unseal } from '../deployments/deployment-secrets.ts'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Trx } from '../store/database.ts'
import { type StoredRequest } from '../store/schema.ts'
import { epochOver } from './agent-refusal.ts'
import { type Heard } from './session.ts'

/** What the joined agent is to do. Holds the customer's secrets; it is made anew for each question and kept nowhere. */
export async function orderFor(context: WorkflowContext, trx: Trx, { row, session }: Heard): Promise<Order> {
  const secrets = unseal(context, row)
  if (secrets === null || row.failure !== null) throw epochOver()
  const common = { deploymentId: row.id, epoch: row.epoch }
  if (row.kind === 'inspect') return { kind: 'inspect', ...common }
  if (row.kind === 'rescue' || row.request === null) {
    return { kind: 'rescue', ...common, sshKey: secrets.rescueSshKey }
  }
  const server = await trx
    .selectFrom('server')
    .select(['boot', 'disk_groups', 'efi_bootloader_path'])
    .where('id', '=', row.server_id)
    .executeTakeFirstOrThrow()
  const { type, checkSum } = row.request
  const [disk, ...mirrors] = disksFor(row.request, server.disk_groups).map(({ serial, wwn, size }) => ({
    serial,
    wwn: wwn ?? wwnOf(session.disks, { serial, size }),
    size,
  }))
  if (disk === undefined) throw new Error('The server has no such disk.')
  return {
    kind: 'deploy',
    ...common,
    image: {
      url: secrets.url,
      type,
      httpHeader: secrets.httpHeader,
      checkSum,
      ...verificationOf(row.request, secrets),
    },
    disk,
    mirrors,
    boot: server.boot,
    efiBootloaderPath: server.efi_bootloader_path,
    configDrive:
      secrets.configDrive === null
        ? null
        : { instanceId: row.id, ...secrets.configDrive, phoneHomeUrl: phoneHomeUrl(context, secrets) },
    growLastPartition: row.request.growLastPartition ?? false,
    addressPolicy: context.settings.addressPolicy,
    spoolBytes: context.settings.spoolBytes,
  }
}

/** Those that were named, or the first of the disk group. */
function disksFor({ disks = [], diskGroupId }: StoredRequest, groups: DiskGroup[]): DiskGroup['disks'] {
  if (disks.length > 0) return namedDisks(groups, disks) ?? []
  const group = diskGroupId === null ? groups[0] : groups.find((each) => each.diskGroupId === diskGroupId)
  return group?.disks.slice(0, 1) ?? []
}

/** What the agent is to verify the image by, beside a checksum that was given. */
function verificationOf(
  { sums = null, signature = null }: StoredRequest,
  { sumsUrl, signatureUrl, signingKeys: keys = [] }: DeploymentSecrets,
): Pick<DeployOrder['image'], 'sums' | 'signature'> {
  if ((sums && !sumsUrl) || (signature && !signatureUrl))
    throw new Error('What the image is to be verified by is not kept.')
  const ofImage = signature?.of === 'image' && signatureUrl ? { url: signatureUrl, keys } : null
  const ofSums = ofImage ? { keys: [], signatureUrl: null } : { keys, signatureUrl: signatureUrl ?? null }
  return { sums: sums && sumsUrl ? { url: sumsUrl, name: sums.name, ...ofSums } : null, signature: ofImage }
}

/** A disk that is recorded without its WWN is named by the one that its server's agent reads. */
function wwnOf(found: DiskFacts[], disk: { serial: string; size: number }): string | null {
  const matching = found.filter(({ serial, size }) => serial === disk.serial && size === disk.size)
  return matching.length === 1 ? (matching[0]?.wwn ?? null) : null
}
