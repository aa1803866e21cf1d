/** What a run says at its end. */
import type { Fate } from './judge.ts'
import type { Mutant } from './sandbox.ts'

export interface Result {
  mutant: Mutant
  fate: Fate
}

const isKilled = ({ fate }: Result): boolean => fate === 'killed' || fate === 'killed by time'

/** One line: where, which operator, and the change. */
export function mutantLine({ file, line, column, operator, original, replacement }: Mutant): string {
  const from = short(original)
  return `${file}:${line}:${column} ${operator}: ${from} -> ${short(replacement) || '(nothing)'}`
}

function short(code: string): string {
  const line = code.replace(/\s+/g, ' ')
  return line.length <= 90 ? line : `${line.slice(0, 87)}...`
}

/** Wilson's interval for `hits` of `trials` at 95 %, as fractions. */
export function interval(hits: number, trials: number): [low: number, high: number] {
  const z = 1.96
  const share = hits / trials
  const centre = share + z ** 2 / (2 * trials)
  const spread = z * Math.sqrt((share * (1 - share)) / trials + z ** 2 / (4 * trials ** 2))
  const scale = 1 + z ** 2 / trials
  return [Math.max(0, (centre - spread) / scale), Math.min(1, (centre + spread) / scale)]
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

function scoreLine(name: string, results: Result[]): string {
  const killed = results.filter(isKilled).length
  return `${name}: ${percent(killed / results.length)} (${killed} of ${results.length})`
}

/** @param all Number of mutants from which the results are a sample; equal to their number where all were judged. */
export function printReport(results: Result[], all: number): void {
  const left = results.filter((each) => !isKilled(each))
  if (left.length > 0) console.log('\nMutants that no test noticed:')
  for (const { mutant, fate } of left)
    console.log(`  ${mutantLine(mutant)}${fate === 'not reached' ? ' (no test reaches it)' : ''}`)
  console.log('\nScore by file:')
  for (const [file, of] of Map.groupBy(results, ({ mutant }) => mutant.file))
    console.log(`  ${scoreLine(file, of)}`)
  console.log('\nScore by folder:')
  for (const [folder, of] of Map.groupBy(results, ({ mutant }) => mutant.file.split('/')[3]))
    console.log(`  ${scoreLine(`${folder}/`, of)}${of.length < all ? intervalOf(of) : ''}`)
  const byTime = results.filter(({ fate }) => fate === 'killed by time').length
  const judged =
    results.length < all ? `a sample of ${results.length} of ${all} mutants` : `all ${all} mutants`
  console.log(`\n${judged}, ${byTime} of them killed by their time limit`)
  console.log(scoreLine('mutation score', results) + (results.length < all ? intervalOf(results) : ''))
}

function intervalOf(results: Result[]): string {
  const [low, high] = interval(results.filter(isKilled).length, results.length)
  return `, 95 % interval ${percent(low)} to ${percent(high)}`
}
