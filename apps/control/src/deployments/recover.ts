import { sql } from 'kysely'
import { isAway } from '../store/database.ts'
import { type WorkflowContext } from './workflow-context.ts'

const sweepMs = 1000
/** How long a look may take before the same deployment is swept again. */
const againMs = 10_000
const atOnce = 200

/** At start: whatever was going on is looked at. */
export async function recover(context: WorkflowContext): Promise<number> {
  return await enqueueDue(context, 'all')
}

/** Every second: deployments whose time has come, on whichever replica sweeps first. Returns what stops it. */
export function startSweeping(context: WorkflowContext): () => Promise<void> {
  const { logger, db } = context
  let stopped = false
  let timer: NodeJS.Timeout
  const sweep = async () => {
    try {
      await enqueueDue(context, 'due')
      await db.deleteFrom('replay').where('expires_at', '<', sql<Date>`clock_timestamp()`).execute()
    } catch (error) {
      logger[isAway(error) ? 'warn' : 'error']({ err: error }, 'the sweep failed and is repeated')
    }
  }
  let running = Promise.resolve()
  const next = () => {
    timer = setTimeout(() => {
      running = sweep().then(() => {
        if (!stopped) next()
      })
    }, sweepMs)
  }
  next()
  return async () => {
    stopped = true
    clearTimeout(timer)
    await running
  }
}

async function enqueueDue({ db, enqueueLook }: WorkflowContext, which: 'all' | 'due'): Promise<number> {
  return await db.transaction().execute(async (trx) => {
    const rows = await trx
      .selectFrom('deployment')
      .select('id')
      .where('state', '=', 'open')
      .$if(which === 'due', (query) => query.where('due', '<=', sql<Date>`clock_timestamp()`))
      .orderBy('due')
      .$if(which === 'due', (query) => query.limit(atOnce))
      .forUpdate()
      .skipLocked()
      .execute()
    if (rows.length === 0) return 0
    const ids = rows.map(({ id }) => id)
    await trx
      .updateTable('deployment')
      .set({ due: sql`clock_timestamp() + ${againMs} * interval '1 millisecond'` })
      .where('id', 'in', ids)
      .execute()
    for (const id of ids) await enqueueLook(trx, id)
    return ids.length
  })
}
