import { type Bmc } from '@byoi/bmc'
import { failpoint } from '../failpoint.ts'
import { type Db } from '../store/database.ts'
import { type Change } from './transition.ts'
import { type DeploymentRow, Fenced, type ServerRow, type WorkflowContext } from './workflow-context.ts'

/** What a step works with: the rows as just read, and one connection that holds the lock of the server. */
export interface StepContext extends WorkflowContext {
  row: DeploymentRow
  server: ServerRow
  /** The connection that holds the server's lock. When it is lost, so is the lock, and no command passes any more. */
  locked: Db
  /** The database's time when the row was read. */
  now: Date
  bmc: Bmc
  /** Stores evidence before an act, so that a repeat after a crash knows of it. */
  record(evidence: NonNullable<Change['evidence']>, action: string): Promise<void>
}

/** `wait`: nothing to do for so many ms, unless something happens. */
export type StepResult = Change | { wait: number }

/** One step of the story. It may run twice, on any replica: it looks before it acts. */
export type Step = (step: StepContext) => Promise<StepResult>

/**
 * One command to the BMC. The epoch is checked just before it, on the connection that holds the lock: a look that was
 * stopped for longer than its lock lived does nothing any more. Throws `Fenced`, or what the BMC throws.
 */
export async function command<T>(
  step: StepContext,
  effect: string,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await checkEpoch(step)
  failpoint(`before:${step.row.phase}:${effect}`)
  const result = await run(AbortSignal.timeout(step.settings.bmcTimeoutMs))
  failpoint(`after:${step.row.phase}:${effect}`)
  return result
}

async function checkEpoch({ locked, row }: StepContext): Promise<void> {
  const current = await locked
    .selectFrom('deployment')
    .innerJoin('server', 'server.id', 'deployment.server_id')
    .select('deployment.id')
    .where('deployment.id', '=', row.id)
    .where('deployment.state', '=', 'open')
    .where('deployment.phase', '=', row.phase)
    .where('deployment.epoch', '=', row.epoch)
    .where((where) =>
      where.or([
        where('deployment.epoch', '=', 0),
        where('server.epoch', '=', where.ref('deployment.epoch')),
      ]),
    )
    .executeTakeFirst()
  if (current === undefined) throw new Fenced()
}
