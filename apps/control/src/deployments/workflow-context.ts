import { type Bmc } from '@byoi/bmc'
import { type Selectable } from 'kysely'
import { type Logger } from 'pino'
import { type Db, type Trx } from '../store/database.ts'
import { type SealingKey } from '../store/secrets.ts'
import { type Database } from '../store/schema.ts'
import { type WorkflowSettings } from './settings.ts'

export type DeploymentRow = Selectable<Database['deployment']>
export type ServerRow = Selectable<Database['server']>

/** What the workflow is given once, at start. */
export interface WorkflowContext {
  db: Db
  /** Seals what is stored. */
  masterKey: SealingKey
  settings: WorkflowSettings
  logger: Logger
  /** Opens the BMC of a server. Throws an Error with one sentence when its settings cannot work. */
  openBmc: (server: ServerRow) => Bmc
  /** Asks for a look at the deployment, in the transaction of the change that needs it. */
  enqueueLook: (trx: Trx, deploymentId: string) => Promise<void>
  endpoints: Endpoints
  /** null: this control plane has no provisioning listener. */
  provisioning: Provisioning | null
}

/** What boot media tell agents. Known once the listeners have their ports. */
export interface Endpoints {
  /** Where agents on this machine call. */
  controlUrl: string
  /** Where the agents of real servers call. */
  agentUrl: string
  caPem: string
}

/** Where real servers fetch their agent. URLs without a slash at the end. */
export interface Provisioning {
  /** As servers see it. */
  url: string
  /** As BMCs see it. */
  mediaUrl: string
  /** Directory of what `byoi ramdisk build` made. */
  ramdisk: string
}

/** The row was changed by somebody else meanwhile, or its epoch is over: stop at once, there is nothing to put right. */
export class Fenced extends Error {
  constructor() {
    super('The deployment went on without this look.')
    this.name = 'Fenced'
  }
}
