/** Runs test files, and says at the end what was left out and why. */
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const root = join(import.meta.dirname, '..')

interface Outcome {
  counts: { passed: number; failed: number; skipped: number }
  /** A line for each test that was left out. */
  skipped: string[]
  /** By file. */
  seconds: Map<string, number>
}

/**
 * @param files Paths within the repository; the longest should come first.
 * @param timeout Longest time for one file, in ms.
 */
async function runFiles(files: string[], timeout: number, atOnce: number): Promise<Outcome> {
  const outcome: Outcome = {
    counts: { passed: 0, failed: 0, skipped: 0 },
    skipped: [],
    seconds: new Map(),
  }
  const paths = files.map((each) => join(root, each))
  const events = run({ files: paths, concurrency: atOnce, timeout, cwd: root })
  events.on('test:pass', ({ name, skip, file }) => {
    if (skip === undefined || skip === false) return
    const why = typeof skip === 'string' ? `: ${skip}` : ''
    outcome.skipped.push(`${relative(root, file ?? '')}: ${name}${why}`)
  })
  events.on('test:summary', ({ file, counts, duration_ms }) => {
    if (file !== undefined) {
      outcome.seconds.set(relative(root, file), duration_ms / 1000)
      return
    }
    const failed = counts.tests - counts.passed - counts.skipped - counts.todo
    outcome.counts = { passed: counts.passed, failed, skipped: counts.skipped }
  })
  const report = events.compose(spec)
  report.pipe(process.stdout, { end: false })
  await new Promise((resolve) => report.once('end', resolve))
  return outcome
}

/**
 * Runs the files and prints what came of them; the last line is `N passed, N failed`.
 * @param absent Tools that the files may miss.
 * @param atOnce Files that run at the same time.
 * @returns Whether some passed and none failed.
 */
export async function runAndTell(
  files: string[],
  timeout: number,
  absent: string[],
  atOnce = 2,
): Promise<boolean> {
  const { counts, skipped, seconds } = await runFiles(files, timeout, atOnce)
  const slowest = [...seconds].toSorted((a, b) => b[1] - a[1]).slice(0, 5)
  console.log(`\nSlowest files: ${slowest.map(([file, time]) => `${file} ${time.toFixed(1)} s`).join(', ')}`)
  if (absent.length > 0) console.log(`Tools that are not there: ${absent.join(', ')}`)
  if (skipped.length > 0)
    console.log(`Left out, with the reason:\n${skipped.map((each) => `  ${each}`).join('\n')}`)
  console.log(`${counts.skipped} skipped`)
  console.log(`${counts.passed} passed, ${counts.failed} failed`)
  return counts.failed === 0 && counts.passed > 0
}
