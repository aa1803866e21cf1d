/**
 * Measures the image engine against the usual pipeline of tools: from a URL to a verified, flushed disk. Our read-back of
 * everything written is counted; the peer does none.
 */
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BenchImage, benchImages } from './bench/images.ts'
import { type BenchServer, serveFiles } from './bench/serve.ts'
import { canLoop, freshTarget, type Target } from './bench/target.ts'
import { hasTime, type Measured, timed } from './bench/timed.ts'
import { widenPath } from './debian-packages.ts'
import { tryCommand } from './run-command.ts'

const root = join(import.meta.dirname, '..')
const cache = join(root, '.cache/bench')
const PEER = 'curl + sha256sum + qemu-img convert + sync'
const DISK = 6144 * 1024 * 1024

const HELP = `npm run bench -- [--case raw|qcow2|qcow2-zlib] [--rounds N] [--target loop|file] [--json]

  --case      measure this one only; may be repeated
  --rounds    how often each is run, in turns; medians are shown (default 3)
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
}

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '3' },
    target: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else await bench()

async function bench(): Promise<void> {
  widenPath()
  await assertTools(['curl', 'sha256sum', 'qemu-img', 'sfdisk', 'sync'])
  const images = (await benchImages(cache, log)).filter((image) => values.case?.includes(image.case) ?? true)
  if (images.length === 0) throw new Error(`There is no such case.\n${HELP}`)
  const kind =
    values.target === 'file' || values.target === 'loop' ? values.target : (await canLoop()) ? 'loop' : 'file'
  const withTime = await hasTime()
  if (!withTime) log('/usr/bin/time is absent (package time): no CPU seconds')
  const paths = images.map(({ path }) => path)
  const server = await serveFiles(cache, paths, join(cache, 'nginx'))
  if (server.kind !== 'nginx')
    log('nginx is absent: a Node process serves the images, which slows both sides')
  console.log(
    `target: ${kind}, server: ${server.kind}, rounds: ${values.rounds}, read-back counted on our side only\n`,
  )
  try {
    const rows: Row[] = []
    for (const image of images) rows.push(await benchCase(image, server, kind, withTime))
    print(rows)
  } finally {
    await server.stop()
  }
}

function log(line: string): void {
  console.error(line)
}

async function assertTools(tools: string[]): Promise<void> {
  const found = await Promise.all(
    tools.map(async (tool) => (await tryCommand(tool, ['--version'])).status !== 127),
  )
  const absent = tools.filter((_, index) => !found[index])
  if (absent.length > 0)
    throw new Error(`Not installed: ${absent.join(', ')} (curl, coreutils, qemu-utils, fdisk).`)
}

/** Ours and the peer in turns, each on a fresh target. */
async function benchCase(
  image: BenchImage,
  server: BenchServer,
  kind: Target['kind'],
  withTime: boolean,
): Promise<Row> {
  const url = `${server.url}/${basename(image.path)}`
  const ours: Measured[] = []
  const peer: Measured[] = []
  for (let round = 0; round < Number(values.rounds); round++) {
    ours.push(await onFreshTarget(kind, (target) => timed([oursOf(image, url, target)], withTime)))
    peer.push(await onFreshTarget(kind, (target) => runPeer(image, url, target, withTime)))
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
  }
}

function oursOf({ type, sha256 }: BenchImage, url: string, target: Target): string[] {
  const program = join(root, 'apps/cli/src/main.ts')
  const checksum = `sha256:${sha256}`
  return [
    process.execPath,
    program,
    'write',
    url,
    '--to',
    target.path,
    '--type',
    type,
    '--checksum',
    checksum,
    '--yes',
    '--json',
  ]
}

async function runPeer(
  { type, path }: BenchImage,
  url: string,
  target: Target,
  withTime: boolean,
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
    )
  } finally {
    await rm(staged, { force: true })
  }
}

async function onFreshTarget(
  kind: Target['kind'],
  run: (target: Target) => Promise<Measured>,
): Promise<Measured> {
  const target = await freshTarget(kind, cache, DISK)
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
    })),
  )
  console.log(`peer: ${PEER}`)
  if (values.json) console.log(JSON.stringify(rows))
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function round2(value: number): number {
  return Math.round(value * 100) / 100
}
