import { type AddressInfo } from 'node:net'
import { type NetbootAnswer } from '@byoi/contract'
import { type FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { type Logger } from 'pino'
import { agentRoutes } from './agents/agent-routes.ts'
import { type BmcEnvironment } from './bmcs/bmc-kind.ts'
import { openBmc } from './bmcs/bmcs.ts'
import { changesIn } from './deployments/changes.ts'
import { deploymentsPort } from './deployments/deployments-port.ts'
import { type Jobs, openJobs } from './deployments/jobs.ts'
import { look } from './deployments/look.ts'
import { recover, startSweeping } from './deployments/recover.ts'
import { type WorkflowSettings } from './deployments/settings.ts'
import { changeChannel } from './deployments/transition.ts'
import { type Endpoints, type Provisioning, type WorkflowContext } from './deployments/workflow-context.ts'
import { type Ports } from './http/ports.ts'
import { outputChannel } from './serial/record-output.ts'
import { inputChannel, startSerialKeeper, viewerChannel } from './serial/serial-keeper.ts'
import { serialPort } from './serial/serial-port.ts'
import { type Connection, type Db, migrate, openDatabase } from './store/database.ts'
import { checkMasterKey, credentialsPort, keysPort, replaysPort } from './store/keys-port.ts'
import { listenForNotices } from './store/notices.ts'
import { type SealingKey } from './store/secrets.ts'
import { bmcServerOf } from './store/server-rows.ts'
import { serversPort } from './store/servers-port.ts'
import { signingKeysPort } from './store/signing-keys-port.ts'

const noticeChannels = [changeChannel, outputChannel, inputChannel, viewerChannel]

export interface ControlPlaneOptions {
  connection: Connection
  masterKey: SealingKey
  settings: WorkflowSettings
  bmcs: BmcEnvironment
  logger: Logger
  /** The certificate authority that agents trust. */
  caPem: string
}

/** Where the listeners are reached. */
export interface Addresses extends Pick<Endpoints, 'controlUrl' | 'agentUrl'> {
  provisioning: Provisioning | null
}

/** The control plane without its listeners. */
export interface ControlPlane {
  db: Db
  ports: Ports
  context: WorkflowContext
  agents: ReturnType<typeof agentRoutes>
  /** Begins to work, once the listeners have their addresses. */
  start(addresses: Addresses): Promise<void>
  stop: () => Promise<void>
}

/** Opens database and job engine and brings the tables up to date. Throws `StartError`. */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { connection, masterKey, settings, bmcs, logger, caPem } = options
  const db = openDatabase(connection, (error) =>
    logger.warn({ err: error }, 'a database connection was lost'),
  )
  await migrate(db)
  await checkMasterKey(db, masterKey)
  const jobs: Jobs = await openJobs(connection, logger)
  const notices = listenForNotices(connection, noticeChannels)
  const context: WorkflowContext = {
    db,
    masterKey,
    settings,
    logger,
    openBmc: (server) => openBmc(bmcs, server.bmc_kind, bmcServerOf(masterKey, server)),
    enqueueLook: jobs.enqueueLook,
    endpoints: { controlUrl: '', agentUrl: '', caPem },
    provisioning: null,
  }
  const enrolment = { db, masterKey, bmcs, caPem, settings }
  const ports: Ports = {
    credentials: credentialsPort(db, masterKey),
    replays: replaysPort(db),
    keys: keysPort(db, masterKey),
    signingKeys: signingKeysPort(db),
    servers: serversPort(enrolment),
    deployments: deploymentsPort(context, changesIn(notices)),
    serial: serialPort(context, notices),
    health: { ready: () => isReady(db) },
    netboot: () => netbootOf(context),
  }
  let stopSweeping = async () => {}
  let stopConsoles = async () => {}
  return {
    db,
    ports,
    context,
    agents: agentRoutes(context),
    start: async ({ controlUrl, agentUrl, provisioning }) => {
      Object.assign(context.endpoints, { controlUrl, agentUrl })
      context.provisioning = provisioning
      await jobs.work((id) => look(context, id))
      const resumed = await recover(context)
      if (resumed > 0) logger.info({ deployments: resumed }, 'going on with what was open')
      stopSweeping = startSweeping(context)
      stopConsoles = startSerialKeeper(context, notices)
    },
    stop: async () => {
      await stopSweeping()
      await jobs.stop()
      await stopConsoles()
      await notices.close()
      await db.destroy()
    },
  }
}

function netbootOf({ endpoints: { agentUrl }, provisioning }: WorkflowContext): NetbootAnswer | null {
  if (provisioning === null) return null
  const { url: provisioningUrl, mediaUrl, ramdisk } = provisioning
  return { provisioningUrl, mediaUrl, agentUrl, ramdisk }
}

async function isReady(db: Db): Promise<boolean> {
  try {
    await sql`select 1`.execute(db)
    return true
  } catch {
    return false
  }
}

/** The port that a listener got. */
export function portOf({ server }: Pick<FastifyInstance, 'server'>): number {
  return (server.address() as AddressInfo).port
}
