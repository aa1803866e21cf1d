/** `npm run test:fuzz`: see `usage`. */
import { availableParallelism } from 'node:os'
import { relative } from 'node:path'
import { readSettings, type Settings } from './arguments.ts'
import type { Tally } from './fuzz-range.ts'
import { inputOf } from './fuzzer.ts'
import { fuzzers } from './fuzzers.ts'
import { keepInput } from './kept-inputs.ts'
import { runLanes } from './lanes.ts'
import { differential, runDifferential } from './testing/differential.ts'

const names = Object.keys(fuzzers)
const usage = `npm run test:fuzz -- [--runs N] [--seed S] [--only PARSER ...]

Feeds N generated files (200000) to each parser: ${names.join(', ')}.
The files are made from the seeds S, S + 1, ... (1). A file that a parser is wrong about is kept as a test.

  --only ${differential}   compares the disk that byoi sees in generated qcow2 images with qemu-img's
  --help                        this text

Ends with "N passed, N failed", counted in parsers. Exit status: 0 nothing failed, 1 something did, 2 wrong arguments.`

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** What has come of a parser so far. `ms`: time of all lanes. */
interface Sum {
  runs: number
  accepted: number
  kinds: Set<string>
  failed: number
  ms: number
}

/** Failures of one cause have one text but for numbers; the first of them is kept and shown. */
const shown = new Set<string>()

function tell(parser: string, { failures }: Tally): void {
  for (const { seed, fault } of failures) {
    const key = `${parser} ${fault.replace(/\d+/g, '#').slice(0, 300)}`
    if (shown.has(key)) continue
    shown.add(key)
    const path = relative(process.cwd(), keepInput(parser, inputOf(fuzzers[parser] as never, seed)))
    say(`${parser}: ${fault.slice(0, 1500)}`)
    say(`  kept as ${path}; again: npm run test:fuzz -- --runs 1 --seed ${seed} --only ${parser}`)
  }
}

async function fuzz({ parsers, seed, runs }: Settings): Promise<boolean> {
  const sums = new Map(
    parsers.map((parser): [string, Sum] => [
      parser,
      { runs: 0, accepted: 0, kinds: new Set(), failed: 0, ms: 0 },
    ]),
  )
  const began = performance.now()
  let toldAt = began
  const onTally = (parser: string, tally: Tally, ms: number): void => {
    const sum = sums.get(parser) as Sum
    sum.runs += tally.runs
    sum.accepted += tally.accepted
    sum.failed += tally.failures.length
    sum.ms += ms
    for (const by of tally.refused.keys()) sum.kinds.add(by)
    tell(parser, tally)
    if (sum.runs >= runs) say(lineOf(parser, sum))
    else if (performance.now() - toldAt > 10_000) {
      toldAt = performance.now()
      say(`  ${parser}: ${sum.runs} of ${runs} runs after ${((toldAt - began) / 1000).toFixed(0)} s`)
    }
  }
  await runLanes({ parsers, first: seed, runs, lanes: Math.min(availableParallelism(), 16), onTally })
  const all = [...sums.values()]
  const failed = all.filter((sum) => sum.failed > 0 || sum.runs < runs).length
  say(
    `${all.reduce((total, sum) => total + sum.runs, 0)} runs in ${((performance.now() - began) / 1000).toFixed(0)} s`,
  )
  say(`${all.length - failed} passed, ${failed} failed`)
  return failed === 0
}

const lineOf = (parser: string, { runs, accepted, kinds, failed, ms }: Sum): string =>
  `${parser}: ${runs} runs, ${((ms * 1000) / runs).toFixed(0)} us each, ${((accepted / runs) * 100).toFixed(0)} % accepted, ` +
  `${kinds.size} kinds of refusal, ${failed} failures`

async function main(): Promise<number> {
  let settings: Settings | null
  try {
    settings = readSettings(process.argv.slice(2), [...names, differential], names)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    return 2
  }
  if (settings === null) {
    say(usage)
    return 0
  }
  const isDifferential = settings.parsers.includes(differential)
  if (isDifferential && settings.parsers.length > 1) {
    process.stderr.write(`--only ${differential} goes alone\n`)
    return 2
  }
  return (await (isDifferential ? runDifferential(settings, say) : fuzz(settings))) ? 0 : 1
}

process.exitCode = await main()
