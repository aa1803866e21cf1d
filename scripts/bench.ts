/**
 * Measures the image engine against the usual pipeline of tools: from a URL to a verified, flushed disk. Our read-back of
 * everything written is counted; the peer does none.
 */
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BenchImage, benchImages, CASES, VIRTUAL, warm } from './bench/images.ts'
import { partsOf } from './bench/limits.ts'
import { type Peer, PEERS, stagedPath } from './bench/peers.ts'
import { type BenchServer, serveFiles } from './bench/serve.ts'
import { canLoop, freshTarget, type Target } from './bench/target.ts'
import { hasTime, type Measured, timed } from './bench/timed.ts'
import { widenPath } from './debian-packages.ts'
import { tryCommand } from './run-command.ts'

const root = join(import.meta.dirname, '..')
const cache = join(root, '.cache/bench')
/** No further round of a case begins when it would end later than this after the case began, in s. */
const CASE_SECONDS = 150

const HELP = `npm run bench -- [--case CASE] [--rounds N] [--target loop|file] [--json]

Measures \`byoi write\`, read-back of everything written included, from a server on this machine onto a disk, and what others do for
the same work, who read nothing back:
${PEERS.map(({ name, does }) => `  ${name.padEnd(10)}${does}\n`).join('')}
and each part of the work alone, with the best that is at hand. The page cache holds the image for all sides. The first run makes the images,
about 17 GB under .cache/bench; RAM of 20 GiB and more is needed where the peer unpacks into it.

  --case      ${CASES.join(', ')}; may be repeated (default: all)
  --rounds    how often each is run at most, in turns; medians are shown (default 3)
  --target    a loop device over tmpfs (root only, the default for root) or a file
  --json      the last line of standard output is one JSON array
`

interface Row {
  case: string
  rounds: number
  ours_s: number
  ours_cpu_s: number | null
  rss_mib: number
  /** By peer; null where it cannot do this. */
  peers: Record<string, { seconds: number; cpu_s: number | null; rss_mib: number; ratio: number } | null>
  /** By part of the work. */
  parts: Record<string, { seconds: number; cpu_s: number | null }>
  /** The slowest part's time over ours: 1 is as fast as that part alone. */
  of_slowest_part: number
  /** CPU seconds of all parts, spread over all cores, over our time. */
  of_all_cores: number | null
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
  await assertTools([
    'bash',
    'curl',
    'gzip',
    'openssl',
    'qemu-img',
    'sfdisk',
    'sha256sum',
    'sync',
    'tar',
    'xz',
    'zstd',
  ])
  const images = await benchImages(cache, values.case, log, signal)
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
    tools.map(
      async (tool) => (await tryCommand(tool, [tool === 'openssl' ? 'version' : '--version'])).status !== 127,
    ),
  )
  const absent = tools.filter((_, index) => !found[index])
  if (absent.length > 0)
    throw new Error(
      `Not installed: ${absent.join(', ')} (curl, openssl, coreutils, qemu-utils, fdisk, xz-utils, zstd).`,
    )
}

/** A peer stages the image in RAM, unpacked too, and a loop device lies there as well. */
async function assertRam(images: BenchImage[], kind: Target['kind']): Promise<void> {
  const { bavail, bsize } = await statfs('/dev/shm')
  const staged = images.map(({ bytes, type, packing }) => {
    const isStream = packing === 'gzip' || packing === 'zstd' || packing === 'xz'
    return bytes + (isStream ? VIRTUAL : type === 'ova' ? bytes : 0)
  })
  const needed = Math.max(...staged) + (kind === 'loop' ? VIRTUAL : 0)
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

/** Ours and the peers in turns, each on a fresh target; then the parts alone. */
async function benchCase(image: BenchImage, options: Bench): Promise<Row> {
  const { signal, withTime } = options
  const url = `${options.server.url}/${basename(image.path)}`
  const ours: Measured[] = []
  const peers = new Map<Peer, Measured[]>(PEERS.map((peer) => [peer, []]))
  const started = performance.now()
  await warm(image.path, signal)
  for (let round = 1; round <= options.rounds; round++) {
    const seconds = (performance.now() - started) / 1000
    if (round > 1 && (seconds * round) / (round - 1) > CASE_SECONDS) break
    const a = await onFreshTarget(options, (target) => timed(oursOf(image, url, target), withTime, signal))
    log(`${image.case} ${round}: ours ${runText(a)}`)
    ours.push(a)
    for (const [peer, runs] of peers) {
      const b = await onFreshTarget(options, (target) => runPeer(peer, image, url, target, options))
      if (b === null) continue
      log(`${image.case} ${round}: ${peer.name} ${runText(b)}`)
      runs.push(b)
    }
  }
  const parts: Row['parts'] = {}
  await onFreshTarget(options, async ({ path }) => {
    for (const { name, commands } of partsOf(image, url, path)) {
      const { seconds, cpuSeconds } = await timed(commands, withTime, signal)
      parts[name] = { seconds: round2(seconds), cpu_s: cpuSeconds && round2(cpuSeconds) }
    }
  })
  log(
    `${image.case}: alone ${Object.entries(parts)
      .map(([name, { seconds }]) => `${name} ${seconds} s`)
      .join(', ')}`,
  )
  const oursSeconds = median(ours.map(({ seconds }) => seconds))
  const all = Object.values(parts)
  const cpu = all.reduce((sum, { cpu_s: each }) => sum + (each ?? 0), 0)
  return {
    case: image.case,
    rounds: ours.length,
    ours_s: round2(oursSeconds),
    ours_cpu_s: withTime ? cpuOf(ours) : null,
    rss_mib: Math.round(Math.max(...ours.map(({ rssMib }) => rssMib))),
    peers: Object.fromEntries(
      [...peers].map(([{ name }, runs]) => {
        if (runs.length === 0) return [name, null]
        const seconds = median(runs.map((run) => run.seconds))
        const rss_mib = Math.round(Math.max(...runs.map(({ rssMib }) => rssMib)))
        const ratio = round2(seconds / oursSeconds)
        return [name, { seconds: round2(seconds), cpu_s: withTime ? cpuOf(runs) : null, rss_mib, ratio }]
      }),
    ),
    parts,
    of_slowest_part: round2(Math.max(...all.map(({ seconds }) => seconds)) / oursSeconds),
    of_all_cores: withTime ? round2(cpu / availableParallelism() / oursSeconds) : null,
  }
}

function cpuOf(runs: Measured[]): number {
  return round2(median(runs.map(({ cpuSeconds }) => cpuSeconds ?? 0)))
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
  peer: Peer,
  image: BenchImage,
  url: string,
  target: Target,
  { withTime, signal }: Bench,
): Promise<Measured | null> {
  const staged = stagedPath(image)
  const commands = peer.commands({ image, url, target: target.path, staged })
  if (commands === null) return null
  try {
    return await timed(commands, withTime, signal)
  } finally {
    await rm(staged, { force: true })
    await rm(`${staged}.inner`, { force: true })
  }
}

async function onFreshTarget<T>({ kind }: Bench, run: (target: Target) => Promise<T>): Promise<T> {
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
      'CPU s': row.ours_cpu_s,
      'RSS MiB': row.rss_mib,
      ...Object.fromEntries(
        PEERS.flatMap(({ name }) => {
          const peer = row.peers[name]
          return [
            [`${name} s`, peer?.seconds ?? '-'],
            [`${name} ratio`, peer?.ratio ?? '-'],
          ]
        }),
      ),
      'of slowest part': row.of_slowest_part,
      'of all cores': row.of_all_cores,
      rounds: row.rounds,
    })),
  )
  for (const { name, does } of PEERS) console.log(`${name}: ${does}`)
  console.log('Read-back counted on our side only.')
  console.log('of slowest part: time of the slowest of network, digest, decoding and disk alone, over ours.')
  console.log('of all cores: CPU seconds of these parts together, spread over all cores, over ours.')
  if (values.json) console.log(JSON.stringify(rows))
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function round2(value: number): number {
  return Math.round(value * 100) / 100
}
