import { type Logger } from 'pino'
import { type ProvisioningConfig, urlHost } from '../config.ts'
import { portOf } from '../control-plane.ts'
import { type Provisioning, type WorkflowContext } from '../deployments/workflow-context.ts'
import { phoneHomeRoute } from '../serial/phone-home.ts'
import { cannotListen } from '../start-error.ts'
import { bootRoutes } from './boot-routes.ts'
import { isoRoutes } from './iso-routes.ts'
import { createProvisioningServer } from './provisioning-server.ts'
import { NoRamdisk, readRamdisk } from './ramdisk.ts'

/** Opens the provisioning listener. `stops` grows by what closes it. Throws `StartError`. */
export async function listenForServers(
  { listen: { host, port }, url, mediaUrl, ramdisk }: ProvisioningConfig,
  context: WorkflowContext,
  logger: Logger,
  stops: (() => Promise<void>)[],
): Promise<Provisioning> {
  const routes = [...bootRoutes(context, ramdisk), ...isoRoutes(context, ramdisk), phoneHomeRoute(context)]
  const server = createProvisioningServer(routes, logger)
  stops.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve)
  }).catch((cause: NodeJS.ErrnoException) => {
    throw cannotListen({ host, port }, cause)
  })
  const shown = url ?? `http://${urlHost(host)}:${portOf({ server })}`
  return { url: shown, mediaUrl: mediaUrl ?? shown, ramdisk }
}

/** Tells at the start what would keep real servers from booting. */
export async function warnOfProvisioning(
  { ramdisk }: Provisioning,
  agentUrl: string,
  logger: Logger,
): Promise<void> {
  if (/^https:\/\/(?:localhost|127\.|\[::1\])/.test(agentUrl)) {
    logger.warn(
      { agentUrl },
      'agents of real servers cannot call this address: give --agent-url or --public-url',
    )
  }
  await readRamdisk(ramdisk).catch((error: unknown) => {
    if (!(error instanceof NoRamdisk)) throw error
    logger.warn(`${error.message} ${error.remedy}`)
  })
}
