/**
 * Measures the image engine against the usual pipeline of tools: from a URL to a verified, flushed disk. Our read-back of
 * everything written is counted; the peer does none.
 */
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BenchImage, benchImages, VIRTUAL, warm } from './bench/images.ts'
import { type BenchServer, serveFiles } from './bench/serve.ts'
import { canLoop, freshTarget, type Target } from './bench/target.ts'
import { hasTime, type Measured, timed } from './bench/timed.ts'
import { widenPath } from './debian-packages.ts'
import { tryCommand } from './run-command.ts'

const root = join(import.meta.dirname, '..')
const cache = join(root, '.cache/bench')
const PEER = 'curl to RAM + sha256sum + qemu-img convert + sync'
const CASES = ['raw', 'qcow2', 'qcow2-zlib']
/** No further round of a case begins when it would end later than this after the case began, in s. */
const CASE_SECONDS = 150

const HELP = `npm run bench -- [--case raw|qcow2|qcow2-zlib] [--rounds N] [--target loop|file] [--json]

Measures \`byoi write\`, read-back of everything written included, against
  ${PEER}
(which reads nothing back) from a server on this machine. The page cache holds the image for both sides.
The first run makes the images, 10 GB under .cache/bench; RAM of 16 GiB and more is needed for the raw case.

  --case      measure this one only; may be repeated
  --rounds    how often each is run at most, in turns; medians are shown (default 3)
  --target    a loop device over tmpfs (root only, the default for root) or a file
  --json      the last line of standard output is one JSON array
`

interface Row {
  case: string
  ours_s: number
  peer: string
  peer_s: number
  ratio: number
  rss_mib: number
  ours_cpu_s: number | null
  peer_cpu_s: number | null
  rounds: number
}

interface Bench {
  server: BenchServer
  kind: Target['kind']
  withTime: boolean
  rounds: number
  signal: AbortSignal
}

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: CASES },
    rounds: { type: 'string', default: '3' },
    target: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else process.exitCode = await main()

/** Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped. */
async function main(): Promise<number> {
  const wrong = wrongUsage()
  if (wrong) {
    log(`${wrong}\n\n${HELP}`)
    return 2
  }
  const stopped = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stopped.abort(new Error(`stopped by ${name}`)))
  try {
    await bench(stopped.signal)
    return 0
  } catch (error) {
    log(error instanceof Error ? error.message : String(error))
    return stopped.signal.aborted ? 130 : 1
  }
}

function wrongUsage(): string | undefined {
  const unknown = values.case.find((each) => !CASES.includes(each))
  if (unknown !== undefined) return `There is no case ${unknown}.`
  if (!/^[1-9][0-9]?$/.test(values.rounds)) return '--rounds takes a number from 1 to 99.'
  if (values.target !== undefined && values.target !== 'loop' && values.target !== 'file')
    return '--target is loop or file.'
  return undefined
}

async function bench(signal: AbortSignal): Promise<void> {
  widenPath()
  await assertTools(['curl', 'sha256sum', 'qemu-img', 'sfdisk', 'sync'])
  const images = (await benchImages(cache, log, signal)).filter((image) => values.case.includes(image.case))
  const { target } = values
  const kind = target === 'file' || target === 'loop' ? target : (await canLoop()) ? 'loop' : 'file'
  await assertRam(images, kind)
  const withTime = await hasTime()
  if (!withTime) log('/usr/bin/time is absent (package time): no CPU seconds')
  const paths = images.map(({ path }) => path)
  const server = await serveFiles(cache, paths, join(cache, 'nginx'))
  try {
    if (server.kind !== 'nginx')
      log('nginx is absent: a Node process serves the images, which slows both sides')
    console.log(
      `target: ${kind}, server: ${server.kind}, up to ${values.rounds} rounds, medians; ${loadText()}`,
    )
    warnOfLoad()
    await prime(signal)
    const rounds = Number(values.rounds)
    const rows: Row[] = []
    for (const image of images) rows.push(await benchCase(image, { server, kind, withTime, rounds, signal }))
    print(rows)
  } finally {
    await server.stop()
  }
}

function log(line: string): void {
  console.error(line)
}

function loadText(): string {
  return `load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} cores`
}

/** Before anything runs: our own runs count as load too. */
function warnOfLoad(): void {
  if ((loadavg()[0] ?? 0) < availableParallelism() / 2) return
  console.log(`warning: the machine is busy (${loadText()}); trust the CPU seconds, not the wall time`)
}

async function assertTools(tools: string[]): Promise<void> {
  const found = await Promise.all(
    tools.map(async (tool) => (await tryCommand(tool, ['--version'])).status !== 127),
  )
  const absent = tools.filter((_, index) => !found[index])
  if (absent.length > 0)
    throw new Error(`Not installed: ${absent.join(', ')} (curl, coreutils, qemu-utils, fdisk).`)
}

/** The peer stages the image in RAM, and a loop device lies there too. */
async function assertRam(images: BenchImage[], kind: Target['kind']): Promise<void> {
  const { bavail, bsize } = await statfs('/dev/shm')
  const largest = Math.max(...images.map(({ bytes }) => bytes))
  const needed = largest + (kind === 'loop' ? VIRTUAL : 0)
  if (bavail * bsize < needed)
    throw new Error(`/dev/shm needs ${Math.ceil(needed / 1e9)} GB free. Measure fewer cases, or a file.`)
}

/** One small run that is not measured: the first one after a change of the sources strips their types, for all to come. */
async function prime(signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'byoi-bench-'))
  try {
    const image = join(folder, 'image')
    await writeFile(image, Buffer.alloc(4 * 1024 * 1024, 1))
    const to = ['--to', join(folder, 'disk'), '--type', 'raw', '--data-disk', '--json']
    await timed([[join(root, 'byoi'), 'write', image, ...to]], false, signal)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Ours and the peer in turns, each on a fresh target. */
async function benchCase(image: BenchImage, options: Bench): Promise<Row> {
  const { signal, withTime } = options
  const url = `${options.server.url}/${basename(image.path)}`
  const ours: Measured[] = []
  const peer: Measured[] = []
  const started = performance.now()
  await warm(image.path, signal)
  for (let round = 1; round <= options.rounds; round++) {
    const seconds = (performance.now() - started) / 1000
    if (round > 1 && (seconds * round) / (round - 1) > CASE_SECONDS) break
    const a = await onFreshTarget(options, (target) => timed(oursOf(image, url, target), withTime, signal))
    log(`${image.case} ${round}: ours ${runText(a)}`)
    const b = await onFreshTarget(options, (target) => runPeer(image, url, target, options))
    log(`${image.case} ${round}: peer ${runText(b)}`)
    ours.push(a)
    peer.push(b)
  }
  const oursSeconds = median(ours.map(({ seconds }) => seconds))
  const peerSeconds = median(peer.map(({ seconds }) => seconds))
  return {
    case: image.case,
    ours_s: round2(oursSeconds),
    peer: PEER,
    peer_s: round2(peerSeconds),
    ratio: round2(peerSeconds / oursSeconds),
    rss_mib: Math.round(Math.max(...ours.map(({ rssMib }) => rssMib))),
    ours_cpu_s: withTime ? round2(median(ours.map(({ cpuSeconds }) => cpuSeconds ?? 0))) : null,
    peer_cpu_s: withTime ? round2(median(peer.map(({ cpuSeconds }) => cpuSeconds ?? 0))) : null,
    rounds: ours.length,
  }
}

function runText({ seconds, cpuSeconds, rssMib }: Measured): string {
  const cpu = cpuSeconds === null ? '' : `, ${cpuSeconds.toFixed(2)} CPU s`
  return `${seconds.toFixed(2)} s${cpu}, RSS ${Math.round(rssMib)} MiB`
}

function oursOf({ type, sha256 }: BenchImage, url: string, { path }: Target): string[][] {
  const declared = ['--type', type, '--checksum', `sha256:${sha256}`]
  return [
    [join(root, 'byoi'), 'write', url, '--to', path, ...declared, '--yes', '--json'],
    ['sync', path],
  ]
}

async function runPeer(
  { type, path }: BenchImage,
  url: string,
  target: Target,
  { withTime, signal }: Bench,
): Promise<Measured> {
  const staged = join('/dev/shm', `byoi-bench-${process.pid}-${basename(path)}`)
  try {
    return await timed(
      [
        ['curl', '--silent', '--show-error', '--fail', '--output', staged, url],
        ['sha256sum', '--', staged],
        ['qemu-img', 'convert', '-n', '-f', type, '-O', 'raw', staged, target.path],
        ['sync', target.path],
      ],
      withTime,
      signal,
    )
  } finally {
    await rm(staged, { force: true })
  }
}

async function onFreshTarget({ kind }: Bench, run: (target: Target) => Promise<Measured>): Promise<Measured> {
  const target = await freshTarget(kind, cache, VIRTUAL)
  try {
    return await run(target)
  } finally {
    await target.remove()
  }
}

function print(rows: Row[]): void {
  console.table(
    rows.map((row) => ({
      case: row.case,
      'ours s': row.ours_s,
      'peer s': row.peer_s,
      ratio: row.ratio,
      'ours RSS MiB': row.rss_mib,
      'ours CPU s': row.ours_cpu_s,
      'peer CPU s': row.peer_cpu_s,
      rounds: row.rounds,
    })),
  )
  console.log(`peer: ${PEER}; read-back counted on our side only`)
  if (values.json) console.log(JSON.stringify(rows))
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function round2(value: number): number {
  return Math.round(value * 100) / 100
}
