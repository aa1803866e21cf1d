import { judge } from '@byoi/bmc'
import { sql } from 'kysely'
import { CannotWork } from '../bmcs/bmc-kind.ts'
import { type Db, isAway } from '../store/database.ts'
import { withBmcLock } from './bmc-lock.ts'
import { cancelNow } from './cancel.ts'
import { carrierOf } from './carrier.ts'
import { failing, holding } from './outcomes.ts'
import { CommandFailed, type StepContext, type StepResult } from './step.ts'
import { endInError, stopServer } from './steps/stop-server.ts'
import { databaseTime, transition, wait } from './transition.ts'
import { type DeploymentRow, Fenced, type ServerRow, type WorkflowContext } from './workflow-context.ts'
import { workflow } from './workflow.ts'

const busyMs = 500
/** After a crash between an intent and its act, somebody looks again within this time. */
const recordedMs = 10_000

/**
 * Looks at a deployment and does what its row says is next, until it has to wait. Safe to call at any time, twice, and on any
 * replica: one look at a time goes on per server, and every change is fenced by phase, state and epoch.
 */
export async function look(context: WorkflowContext, id: string): Promise<void> {
  const found = await context.db
    .selectFrom('deployment')
    .select(['server_id', 'state'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (found?.state !== 'open') return
  const ran = await withBmcLock(context.db, found.server_id, async (locked) => {
    while (await lookOnce(context, locked, id)) {
      // Goes on until there is something to wait for.
    }
  })
  if (ran === null) await lookLater(context, id)
}

/** Another look holds the server; what this one came for may be news to it, so it is not dropped. */
async function lookLater({ db }: WorkflowContext, id: string): Promise<void> {
  await db
    .updateTable('deployment')
    .set({ due: sql`least(due, clock_timestamp() + ${busyMs} * interval '1 millisecond')` })
    .where('id', '=', id)
    .where('state', '=', 'open')
    .execute()
}

/** One step. True: look again at once. */
async function lookOnce(context: WorkflowContext, locked: Db, id: string): Promise<boolean> {
  const step = await load(context, locked, id)
  if (step === null) return false
  const { row } = step
  try {
    const result = await decide(step)
    if (!('wait' in result)) {
      await transition(context, locked, row, result)
      return result.look === 'now'
    }
    if (result.wait > 0) await wait(locked, row, result.wait)
    return result.wait === 0
  } catch (error) {
    if (error instanceof Fenced) return false
    if (isAway(error)) throw error
    return await afterFailure(step, error)
  } finally {
    await step.bmc.close().catch(() => undefined)
  }
}

async function load(context: WorkflowContext, locked: Db, id: string): Promise<StepContext | null> {
  const row = await locked.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirst()
  if (row?.state !== 'open') return null
  const server = await locked
    .selectFrom('server')
    .selectAll()
    .where('id', '=', row.server_id)
    .executeTakeFirstOrThrow()
  const tools = await toolsOf(context, locked, row, server)
  if (tools === null) return null
  return {
    ...context,
    ...tools,
    row,
    server,
    locked,
    now: await databaseTime(locked),
    record: async (evidence, action) => {
      await transition(context, locked, row, { evidence, look: recordedMs, action })
    },
  }
}

/** null: nothing can be done with the server as it is described, and an operator must put that right first. */
async function toolsOf(context: WorkflowContext, locked: Db, row: DeploymentRow, server: ServerRow) {
  try {
    const bmc = context.openBmc(server)
    return { bmc, carrier: carrierOf(context, bmc, server) }
  } catch (error) {
    if (!(error instanceof CannotWork)) throw error
    const change = holding(`The server cannot be used as it is described. ${error.message}`)
    await transition(context, locked, row, change).catch((fenced: unknown) => {
      if (!(fenced instanceof Fenced)) throw fenced
    })
    return null
  }
}

async function decide(step: StepContext): Promise<StepResult> {
  const { row, now, locked } = step
  if (row.cancel_at !== null && (row.phase !== 'publish' || now >= row.cancel_at)) {
    await locked.transaction().execute(async (trx) => await cancelNow(step, trx, row, 'workflow'))
    return { wait: 0 }
  }
  if (row.failure !== null) return await stopServer(step)
  if (now > row.deadline) {
    return failing(row, {
      code: 'TIMEOUT',
      cause: `The deployment did not end within ${Math.round(step.settings.deadlineMs / 3_600_000)} hours.`,
      remedy: 'Check the speed of the image server and of the disk, then start the deployment again.',
    })
  }
  return await workflow[row.phase](step)
}

/** Tries again within the step's budget. After it: an error where nothing is unclear, else an operator must look. */
async function afterFailure(step: StepContext, error: unknown): Promise<boolean> {
  const { row, settings, logger, locked } = step
  logger.warn({ err: error, deployment: row.id, phase: row.phase, tries: row.tries + 1 }, 'a step failed')
  const tries = error instanceof CommandFailed ? judge(error.call, error.cause).tries : 'budget'
  const delay = tries === 'budget' || row.tries + 1 < tries ? settings.retryMs[row.tries] : undefined
  try {
    if (delay !== undefined) {
      await transition(step, locked, row, {
        set: { tries: row.tries + 1 },
        look: delay,
        action: 'deployment.retry',
        detail: { cause: causeOf(error) },
      })
      return false
    }
    if (row.failure !== null) {
      await endInError(step, `The server could not be turned off: ${causeOf(error)}`)
      return false
    }
    const change = givingUp(row, error)
    await transition(step, locked, row, change)
    return change.look === 'now'
  } catch (fenced) {
    if (fenced instanceof Fenced) return false
    throw fenced
  }
}

function givingUp(row: DeploymentRow, error: unknown) {
  if (!(error instanceof CommandFailed)) {
    return failing(row, {
      code: 'INTERNAL',
      cause: causeOf(error),
      remedy: "Look at the control plane's log, then start the deployment again.",
    })
  }
  const { cause, remedy } = { cause: causeOf(error), remedy: error.cause.remedy }
  if (judge(error.call, error.cause).afterwards === 'fail')
    return failing(row, { code: 'BMC', cause, remedy })
  if (error.call === 'set-power') {
    return holding(
      `It is not known whether the server is on or off. ${cause} ${remedy} Look at its power, then decide.`,
    )
  }
  return holding(`Nothing more can be asked of the BMC. ${cause} ${remedy}`)
}

/** Only a driver's own sentences are shown: what else is thrown may hold anything. */
const causeOf = (error: unknown): string =>
  error instanceof CommandFailed ? error.message : 'A step of the workflow failed unexpectedly.'
