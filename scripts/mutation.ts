/** `npm run test:mutation`: how many small mistakes in the image readers the tests notice; see --help and docs/testing.md. */
import { createHash } from 'node:crypto'
import { setPriority } from 'node:os'
import { parseArgs } from 'node:util'
import { ensureTools, widenPath } from './debian-packages.ts'
import { type Baseline, baselineOf, judge } from './mutation/judge.ts'
import { mutantLine, printReport, type Result } from './mutation/report.ts'
import { makeSandbox, mutatedFiles, type Mutant } from './mutation/sandbox.ts'

const usage = `npm run test:mutation [-- OPTIONS]

Changes the code of packages/imaging/src/decode and table in one place after the other and runs the tests that reach the place.
A change after which every test passes is a survivor: it is listed with its place.

  --only TEXT    only files whose path contains TEXT
  --sample N     N mutants chosen at random; the score is then an estimate, given with its interval
  --seed S       chooses the sample (default 1)
  --list         only lists the mutants
`

/** Test processes at the same time. */
const LANES = 2

/** Calls `work` for each item, `LANES` at a time, in order. */
async function inLanes<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}

/** The same `count` mutants for the same seed and code, in the order of the files. */
function sampleOf(mutants: Mutant[], count: number, seed: string): Mutant[] {
  const rank = ({ id }: Mutant) => createHash('sha256').update(`${seed} ${id}`).digest('hex')
  const ranks = new Map(mutants.map((each) => [each, rank(each)]))
  const chosen = mutants.toSorted((a, b) => ((ranks.get(a) as string) < (ranks.get(b) as string) ? -1 : 1))
  const kept = new Set(chosen.slice(0, count))
  return mutants.filter((each) => kept.has(each))
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const files = mutatedFiles(values.only)
if (files.length === 0 || (values.sample !== undefined && !/^[1-9]\d*$/.test(values.sample))) {
  console.error(
    files.length === 0
      ? `No file's path contains ${values.only}.`
      : '--sample must be a whole number above 0.',
  )
  process.exit(2)
}
setPriority(19)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

const sandbox = await makeSandbox(files)
const all = sandbox.mutants
const chosen = values.sample === undefined ? all : sampleOf(all, Number(values.sample), values.seed)
if (values.list) {
  for (const mutant of chosen) console.log(mutantLine(mutant))
  console.log(`${chosen.length} of ${all.length} mutants in ${files.length} files`)
  process.exit(0)
}

widenPath()
await ensureTools(
  { 'qemu-img': 'qemu-utils', sgdisk: 'gdisk', sfdisk: 'fdisk', parted: 'parted' },
  'for the tests',
)
const baselines: Baseline[] = []
await inLanes(sandbox.tests, async (file) => {
  const baseline = await baselineOf(sandbox, file)
  if (baseline.hits.size > 0) baselines.push(baseline)
  const reached = chosen.filter(({ id }) => baseline.hits.has(id)).length
  console.log(`${file} reaches ${reached} of ${chosen.length} mutants in ${baseline.cpuSeconds.toFixed(1)} s`)
})

const results: Result[] = []
await inLanes(chosen, async (mutant) => {
  const fate = await judge(sandbox, mutant, baselines)
  results.push({ mutant, fate })
  if (fate !== 'killed') console.log(`${results.length} of ${chosen.length}: ${fate}: ${mutantLine(mutant)}`)
})
results.sort((a, b) => all.indexOf(a.mutant) - all.indexOf(b.mutant))
console.log(values.sample === undefined ? '' : `\nseed ${values.seed}`)
printReport(results, all.length)
