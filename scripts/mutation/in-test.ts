/**
 * Loaded into every thread of a test process before anything else (`--import`). In the first run it writes down which mutants were
 * reached and how often; in the others it ends what runs through a mutant far more often than that.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread, threadId } from 'node:worker_threads'

/** The instrumented code's own object. */
interface Switchboard {
  mutantCoverage?: { static: Record<string, number> }
  hitCount?: number
  hitLimit?: number
}

export interface Reached {
  /** How often each mutant was passed, by its id. */
  hits: Record<string, number>
  /** CPU time of the whole process, in seconds; only the main thread's record has it. */
  cpuSeconds: number
}

const switchboard: Switchboard = {}
Object.assign(globalThis, { __stryker__: switchboard })

const { BYOI_MUTATION_REACHED: folder, BYOI_MUTATION_HITS: limit } = process.env
if (limit !== undefined) Object.assign(switchboard, { hitCount: 0, hitLimit: Number(limit) })
if (folder !== undefined)
  process.once('exit', () => {
    const { user, system } = process.cpuUsage()
    const record: Reached = {
      hits: switchboard.mutantCoverage?.static ?? {},
      cpuSeconds: isMainThread ? (user + system) / 1e6 : 0,
    }
    writeFileSync(join(folder, `${process.pid}-${threadId}.json`), JSON.stringify(record))
  })
