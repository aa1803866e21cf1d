import { type DeploymentState, type Phase } from '@byoi/contract'
import { sql, type Updateable } from 'kysely'
import { failpoint } from '../failpoint.ts'
import { appendAudit } from '../store/audit.ts'
import { type Db, type Trx } from '../store/database.ts'
import { type Database, type Evidence, type StepTime } from '../store/schema.ts'
import { type DeploymentRow, Fenced, type WorkflowContext } from './workflow-context.ts'

/** Heard by everybody who watches deployments; the payload is the id. */
export const changeChannel = 'byoi_deployment'

/** A job that was lost although its transaction was committed is made good by the next sweep after this time. */
const safetyMs = 30_000

export interface Change {
  phase?: Phase
  state?: DeploymentState
  epoch?: number
  /** Merged into what is known already. */
  evidence?: Evidence
  set?: Omit<Updateable<Database['deployment']>, 'phase' | 'state' | 'epoch' | 'evidence' | 'due' | 'version'>
  /** `now`: a job is enqueued; ms: looked at then, if nothing happens before; `never`: it has ended. */
  look: 'now' | 'never' | number
  /** For the audit row. `detail` holds nothing secret. */
  action: string
  actor?: string
  detail?: Record<string, unknown>
}

/**
 * The only way in which a deployment changes its phase, state or epoch: row, audit row, notice to watchers and next job, in
 * one transaction. Throws `Fenced` when the row is no longer as `row` says.
 */
export async function transition(
  context: WorkflowContext,
  db: Db | Trx,
  row: DeploymentRow,
  change: Change,
): Promise<DeploymentRow> {
  failpoint(`before:${row.phase}:record`)
  const changed = await (db.isTransaction
    ? apply(context, db as Trx, row, change)
    : db.transaction().execute(async (trx) => await apply(context, trx, row, change)))
  failpoint(`after:${row.phase}:record`)
  return changed
}

async function apply(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  change: Change,
): Promise<DeploymentRow> {
  const now = await databaseTime(trx)
  const ends = change.state !== undefined && change.state !== 'open' && change.state !== 'hold'
  const dueIn = change.look === 'now' ? safetyMs : change.look
  const changed = await trx
    .updateTable('deployment')
    .set({
      ...change.set,
      ...(change.phase === undefined ? {} : { phase: change.phase, tries: 0 }),
      ...(change.state === undefined ? {} : { state: change.state }),
      ...(change.epoch === undefined ? {} : { epoch: change.epoch }),
      ...(change.evidence === undefined
        ? {}
        : { evidence: sql<string>`evidence || ${JSON.stringify(change.evidence)}::jsonb` }),
      steps: JSON.stringify(stepTimes(row, change, ends, now)),
      due: dueIn === 'never' ? null : new Date(now.getTime() + dueIn),
      version: sql`version + 1`,
      updated_at: now,
    })
    .where('id', '=', row.id)
    .where('phase', '=', row.phase)
    .where('state', '=', row.state)
    .where('epoch', '=', row.epoch)
    .returningAll()
    .executeTakeFirst()
  if (changed === undefined) throw new Fenced()
  await sql`select pg_notify(${changeChannel}, ${row.id})`.execute(trx)
  if (change.look === 'now') await context.enqueueLook(trx, row.id)
  const { action, actor = 'workflow', detail = {} } = change
  await appendAudit(trx, {
    actor,
    action,
    serviceName: row.service_name,
    deploymentId: row.id,
    epoch: changed.epoch,
    detail: { ...detail, phase: changed.phase, state: changed.state },
  })
  return changed
}

/** Times are the database's: replicas' clocks may differ. */
export async function databaseTime(db: Db | Trx): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db)
  const [row] = rows
  if (row === undefined) throw new Error('The database did not tell its time.')
  return row.now
}

/** A phase begins when the one before ends. What is open when the deployment ends, ends with it. */
function stepTimes(row: DeploymentRow, change: Change, ends: boolean, now: Date): StepTime[] {
  const moves = (change.phase !== undefined && change.phase !== row.phase) || change.epoch !== undefined
  if (!moves && !ends) return row.steps
  const at = now.toISOString()
  const past = row.steps.map((step) => (step.endedAt === null ? { ...step, endedAt: at } : step))
  if (!moves) return past
  const phase = change.phase ?? row.phase
  const next = { phase, epoch: change.epoch ?? row.epoch, startedAt: at, endedAt: ends ? at : null }
  return [...past, next].slice(-maxSteps)
}

/** Restarts repeat the phases; the newest are what matters. */
const maxSteps = 200

/** Looks again in `ms`, without a change that anybody could see. Does nothing when the row has moved on. */
export async function wait(db: Db | Trx, row: DeploymentRow, ms: number): Promise<void> {
  await db
    .updateTable('deployment')
    .set({ due: sql`clock_timestamp() + ${ms} * interval '1 millisecond'` })
    .where('id', '=', row.id)
    .where('phase', '=', row.phase)
    .where('state', '=', row.state)
    .where('epoch', '=', row.epoch)
    .execute()
}
