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
A change after which every test passes is a survivor: it is listed with its place. The mutants come in an order by chance, so
that a run that is ended early (Ctrl-C) gives an estimate too.

  --only TEXT    only files whose path contains TEXT
  --sample N     N mutants chosen at random; the score is then an estimate, given with its interval
  --seed S       gives the order of the mutants, and so the sample (default 1)
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

/** In an order by chance that the seed and the code give, so that any first part of it is a fair sample. */
function shuffled(mutants: Mutant[], seed: string): Mutant[] {
  const rank = ({ id }: Mutant) => createHash('sha256').update(`${seed} ${id}`).digest('hex')
  const ranks = mutants.map((mutant) => ({ mutant, rank: rank(mutant) }))
  return ranks.toSorted((a, b) => (a.rank < b.rank ? -1 : 1)).map(({ mutant }) => mutant)
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
const sandbox = await makeSandbox(files)
const all = sandbox.mutants
const chosen = shuffled(all, values.seed).slice(0, Number(values.sample ?? all.length))
const results: Result[] = []
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => end(130))

/** Says what came out so far. */
function end(status: number): never {
  const inOrder = all.flatMap((mutant) => results.find((each) => each.mutant === mutant) ?? [])
  console.log(`\nseed ${values.seed}`)
  if (inOrder.length > 0) printReport(inOrder, all.length)
  process.exit(status)
}

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

await inLanes(chosen, async (mutant) => {
  const fate = await judge(sandbox, mutant, baselines)
  results.push({ mutant, fate })
  if (fate !== 'killed') console.log(`${results.length} of ${chosen.length}: ${fate}: ${mutantLine(mutant)}`)
  else if (results.length % 25 === 0) console.log(`${results.length} of ${chosen.length}`)
})
end(0)
