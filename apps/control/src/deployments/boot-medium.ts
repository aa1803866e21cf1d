import { type BootMedium, bootMediumArchive } from '@byoi/contract'
import { type BmcServer, CannotWork } from '../bmcs/bmc-kind.ts'
import { type Db } from '../store/database.ts'
import { unsealBootSecret } from './deployment-secrets.ts'
import { type DeploymentRow, type ServerRow, type WorkflowContext } from './workflow-context.ts'

/**
 * What the agent of the present epoch is given: made anew each time, kept nowhere. null when its secret has been used or has expired:
 * a new epoch gets a new one.
 */
export async function readBootMedium(
  context: WorkflowContext,
  db: Db,
  row: DeploymentRow,
  server: ServerRow,
  now: Date,
): Promise<BootMedium | null> {
  const found = await db
    .selectFrom('boot_secret')
    .select(['secret', 'expires_at'])
    .where('server_id', '=', row.server_id)
    .where('epoch', '=', row.epoch)
    .executeTakeFirst()
  if (found === undefined || found.secret === null || found.expires_at <= now) return null
  return bootMediumOf(context, row, server, found.secret, now)
}

/** `sealed`: the boot secret of the row's epoch. */
export function bootMediumOf(
  context: WorkflowContext,
  row: DeploymentRow,
  server: ServerRow,
  sealed: Buffer,
  now: Date,
): BootMedium {
  const { controlUrl, agentUrl, caPem } = context.endpoints
  return {
    // The agent of a file-backed server runs on this machine.
    controlUrl: server.agent_boot === null ? controlUrl : agentUrl,
    caPem,
    server: server.service_name,
    epoch: row.epoch,
    secret: unsealBootSecret(context, row, sealed),
    time: Math.floor(now.getTime() / 1000),
    network: server.agent_boot?.network ?? null,
  }
}

/** Whether the boot medium of such a server fits where it goes. Throws `CannotWork`. */
export function checkMediumFits(caPem: string, { serviceName, agentBoot }: BmcServer): void {
  try {
    bootMediumArchive({
      controlUrl: `https://${'x'.repeat(253)}:65535`,
      caPem,
      server: serviceName,
      epoch: Number.MAX_SAFE_INTEGER,
      secret: 'x'.repeat(43),
      time: 9_999_999_999,
      network: agentBoot?.network ?? null,
    })
  } catch (error) {
    throw new CannotWork(`agentBoot.network is too long. ${(error as Error).message}`)
  }
}
