import { setTimeout as sleep } from 'node:timers/promises'
import { fromKysely, PgBoss } from 'pg-boss'
import { type Logger } from 'pino'
import { type Connection, isAway, poolOptions, type Trx } from '../store/database.ts'

const queue = 'look'
const queueOptions = {
  // Takeover of what a dead replica held within about ten seconds.
  heartbeatSeconds: 10,
  expireInSeconds: 15 * 60,
  retryLimit: 10,
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 30,
  // A job only says "look again"; its history is in the audit.
  deleteAfterSeconds: 600,
}
const looksAtOnce = 5
const workers = 4

export interface Jobs {
  /** In the transaction of the change that needs the look. */
  enqueueLook: (trx: Trx, deploymentId: string) => Promise<void>
  /** Starts to work off what is enqueued. */
  work(look: (deploymentId: string) => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** Opens the job engine in the same database. Rejects when the database is away. */
export async function openJobs(connection: Connection, logger: Logger): Promise<Jobs> {
  const { host, user, database, connectionString } = poolOptions(connection, 10) as Record<string, string>
  const boss = new PgBoss({
    ...(connectionString === undefined
      ? { host: host ?? '', user: user ?? '', database: database ?? '' }
      : { connectionString }),
    max: 10,
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1,
    schedule: false,
  })
  boss.on('error', (error) => {
    const level = isAway(error) ? 'warn' : 'error'
    logger[level]({ err: error }, 'the job engine met an error')
  })
  await boss.start()
  await boss.createQueue(queue, queueOptions)

  return {
    enqueueLook: async (trx, id) => {
      await boss.send(queue, { id }, { db: fromKysely(trx) })
    },
    work: async (look) => {
      const options = {
        batchSize: looksAtOnce,
        localConcurrency: workers,
        pollingIntervalSeconds: 0.5,
        heartbeatRefreshSeconds: 2,
      }
      await boss.work<{ id: string }>(queue, options, async (jobs) => {
        const ids = [...new Set(jobs.map((job) => job.data.id))]
        const results = await Promise.allSettled(ids.map(look))
        const failed = results.find((result) => result.status === 'rejected')
        // The whole batch comes again, which harms nothing: looks that have done their part find nothing to do.
        if (failed !== undefined) throw failed.reason
      })
    },
    stop: async () => {
      await Promise.race([
        boss.stop({ graceful: true, timeout: 5000 }),
        sleep(8000, undefined, { ref: false }),
      ])
    },
  }
}
