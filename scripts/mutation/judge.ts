/** Which tests reach which mutants, and whether they notice one. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reached } from './in-test.ts'
import { type Limits, runTestFile } from './run-test-file.ts'
import type { Mutant, Sandbox } from './sandbox.ts'

/** What a test file does while no mutant is switched on. */
export interface Baseline {
  file: string
  /** How often it passes each mutant, by the mutant's id. */
  hits: Map<string, number>
  cpuSeconds: number
  wallSeconds: number
}

export type Fate = 'killed' | 'killed by time' | 'survived' | 'not reached'

/** For a test file without a mutant. */
const PATIENCE: Limits = { cpuSeconds: 120, wallSeconds: 900 }

/** @throws {Error} when the file's tests do not pass. */
export async function baselineOf(sandbox: Sandbox, file: string): Promise<Baseline> {
  const folder = mkdtempSync(join(sandbox.folder, 'reached-'))
  const environment = { BYOI_MUTATION_REACHED: folder }
  const began = performance.now()
  const verdict = await runTestFile(sandbox.folder, file, PATIENCE, environment)
  if (verdict !== 'passed')
    throw new Error(`The tests of ${file} must pass without a mutant, but: ${verdict}.`)
  const wallSeconds = (performance.now() - began) / 1000
  const hits = new Map<string, number>()
  let cpuSeconds = 0
  for (const name of readdirSync(folder)) {
    const record = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Reached
    for (const [id, count] of Object.entries(record.hits)) hits.set(id, (hits.get(id) ?? 0) + count)
    cpuSeconds += record.cpuSeconds
  }
  return { file, hits, cpuSeconds, wallSeconds }
}

/** Runs the test files that reach the mutant, the fastest first, up to the first that fails. */
export async function judge(sandbox: Sandbox, mutant: Mutant, baselines: Baseline[]): Promise<Fate> {
  const reaching = baselines
    .filter(({ hits }) => hits.has(mutant.id))
    .toSorted((a, b) => a.cpuSeconds - b.cpuSeconds)
  if (reaching.length === 0) return 'not reached'
  for (const { file, hits, cpuSeconds, wallSeconds } of reaching) {
    const limits = {
      cpuSeconds: Math.ceil(3 * cpuSeconds + 5),
      wallSeconds: 10 * wallSeconds + 30,
    }
    const verdict = await runTestFile(sandbox.folder, file, limits, {
      __STRYKER_ACTIVE_MUTANT__: mutant.id,
      BYOI_MUTATION_HITS: String(100 * (hits.get(mutant.id) as number) + 1000),
    })
    if (verdict === 'failed') return 'killed'
    if (verdict === 'out of time') return 'killed by time'
  }
  return 'survived'
}
