/** `npm run test:kill`: kill -9 at random moments while deployments run; see --help. */
import { mkdtemp, chmod, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type DeploymentView } from '@byoi/contract'
import { ControlPlane } from './control-plane.ts'
import { ensureTools, widenPath } from './debian-packages.ts'
import { proveDisk } from './disk-proof.ts'
import { imageServer, type ImageServer } from './image-server.ts'
import { plans, type Plan } from './kill/plans.ts'
import { Random } from './kill/random.ts'
import { askUntilAnswered, firstMib, patient, watch, type Ask, type Watched } from './kill/watch.ts'
import { smallImage, smallImageTools, type SmallImage } from './small-image.ts'

const usage = `npm run test:kill [-- OPTIONS]

Runs deployments of a small image onto file-backed servers and meanwhile kills (kill -9) the control plane, its
database and the agents at random moments. Every deployment must end done with the right disk, or in the error that
was built into it; GET must never say what is not so.

  --kills N         how many kills (default 200)
  --deployments N   how many deployments at least (default 100); more are made while kills are left
  --servers N       how many of them at a time (default 3)
  --seed N          plan of an earlier run, as it was printed
  --deadline S      longest time for one deployment, in seconds (default 240)
`

const mib = 1024 * 1024
const imageMib = 16
const diskMib = 64
/** Seconds that the image server takes for one image: long enough that kills hit every phase. */
const imageSeconds = 3

interface Settings {
  kills: number
  deployments: number
  servers: number
  seed: number
  deadlineMs: number
}

const targets = [
  { name: 'control plane', weight: 4 },
  { name: 'agent', weight: 4 },
  { name: 'database', weight: 2 },
] as const

interface Run {
  settings: Settings
  folder: string
  control: ControlPlane
  image: SmallImage
  images: ImageServer
  started: number
  ended: number
  kills: Record<(typeof targets)[number]['name'], number>
  outcomes: Map<string, number>
  faults: string[]
  over: boolean
  /** Settles when nobody is starting or killing the control plane. */
  turn: Promise<void>
}

const killCount = (run: Run): number => Object.values(run.kills).reduce((a, b) => a + b, 0)

const moreToDo = (run: Run): boolean =>
  run.started < run.settings.deployments || killCount(run) < run.settings.kills

/** True when it hit something. */
async function killOne(run: Run, target: (typeof targets)[number]['name']): Promise<boolean> {
  if (target === 'control plane') {
    await inTurn(run, async () => {
      await run.control.kill()
      await run.control.start()
    })
    return true
  }
  const pid = (target === 'agent' ? run.control.agentPids() : run.control.databasePids())[0]
  if (pid === undefined) return false
  try {
    process.kill(pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

/** Kills at random moments, in step with the deployments, until all kills are made. */
async function killLoop(run: Run, random: Random): Promise<void> {
  const { kills, deployments } = run.settings
  while (killCount(run) < kills) {
    await sleep(random.between(100, 1800))
    const due = Math.ceil((kills * run.started) / deployments)
    if (killCount(run) >= due) continue
    const { name } = random.pick(targets)
    if (await killOne(run, name)) run.kills[name] += 1
  }
}

/** The control plane must outlive what is done to its database and its agents; where it does not, the run goes on. */
async function watchForCrashes(run: Run): Promise<void> {
  for (let seen = 0; !run.over; await sleep(300)) {
    if (run.control.crashes === seen) continue
    seen = run.control.crashes
    const errors = run.control.output.split('\n').filter((line) => /^\w*[Ee]rror:/.test(line))
    run.faults.push(`the control plane ended by itself: ${errors.at(-1) ?? 'no reason was printed'}`)
    console.log(`  FAULT ${run.faults.at(-1)}`)
    await inTurn(run, async () => {
      if (run.control.pid === undefined) await run.control.start()
    })
  }
}

/** Starts and kills of the control plane happen one after the other. */
async function inTurn(run: Run, work: () => Promise<void>): Promise<void> {
  const mine = run.turn.then(work)
  run.turn = mine.catch(() => undefined)
  await mine
}

async function diskFaults(run: Run, disk: string): Promise<string[]> {
  const work = await mkdtemp(join(run.folder, 'proof-'))
  try {
    const proofs = await proveDisk(disk, run.image.path, run.image.type, work)
    return proofs
      .filter((each) => each.result !== 'holds')
      .map((each) => `done, but not so: ${each.what}: ${each.detail}`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** What is wrong with how a deployment ended. */
async function judge(plan: Plan, watched: Watched, disk: string, old: Buffer): Promise<string[]> {
  const { view } = watched
  if (view === undefined || view.state === 'open') return []
  if (plan.ends.length === 0) {
    return view.state === 'done' ? [] : [`ended in ${view.state}: ${JSON.stringify(view.error ?? view.hold)}`]
  }
  if (view.error === null || !plan.ends.includes(view.error.code)) {
    return [
      `should have ended in ${plan.ends.join(' or ')}, ended in ${view.state} ${JSON.stringify(view.error)}`,
    ]
  }
  const now = await firstMib(disk)
  const truthful = view.disk === 'untouched' ? now.equals(old) : now.every((byte) => byte === 0)
  return truthful ? [] : [`says that the disk is ${view.disk}, but its first MiB is not`]
}

/** Gives what went wrong, in sentences. */
async function oneDeployment(
  run: Run,
  ask: Ask,
  server: string,
  disk: string,
  plan: Plan,
): Promise<string[]> {
  const { deadlineMs } = run.settings
  const route = `/dedicated/server/${server}/bringYourOwnImage`
  const former = await askUntilAnswered(
    ask,
    'GET',
    `/byoi/server/${server}/deployment`,
    undefined,
    deadlineMs,
  )
  const since = former.status === 200 ? (former.body as DeploymentView).id : undefined
  const old = await firstMib(disk)
  const body = plan.body(run.image, run.images)
  const posted = await askUntilAnswered(ask, 'POST', route, body, deadlineMs)
  // 409: an earlier try of this POST was accepted, and its answer was lost with the process.
  if (posted.status !== 200 && posted.status !== 409) {
    return [`${server}: POST answered ${posted.status}: ${posted.text}`]
  }
  const watched = await watch(ask, server, since, deadlineMs, () => diskFaults(run, disk))
  const faults = [...watched.faults, ...(await judge(plan, watched, disk, old))]
  const outcome = watched.view?.state === 'error' ? `error ${watched.view.error?.code}` : watched.view?.state
  run.outcomes.set(outcome ?? 'unknown', (run.outcomes.get(outcome ?? 'unknown') ?? 0) + 1)
  return faults.map((fault) => `${server}, ${plan.name}, ${watched.view?.id}: ${fault}`)
}

async function serverLoop(run: Run, server: string, disk: string, ask: Ask, random: Random): Promise<void> {
  while (moreToDo(run)) {
    run.started += 1
    const faults = await oneDeployment(run, ask, server, disk, random.pick(plans))
    run.ended += 1
    run.faults.push(...faults)
    for (const fault of faults) console.log(`  FAULT ${fault}`)
    if (run.ended % 10 === 0) {
      console.log(`  ${run.ended} deployments, ${killCount(run)} kills, ${run.faults.length} faults`)
    }
    // A server that is stuck stays stuck: the others go on.
    if (faults.some((each) => each.includes('stuck'))) return
  }
}

async function prepare(settings: Settings): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'byoi-kill-'))
  await chmod(folder, 0o711)
  const image = await smallImage(folder, 'image', imageMib, 'qcow2')
  const control = new ControlPlane({ data: join(folder, 'data') })
  return {
    settings,
    folder,
    control,
    image,
    images: await imageServer([image.path], { rate: image.bytes / imageSeconds }),
    started: 0,
    ended: 0,
    kills: { 'control plane': 0, agent: 0, database: 0 },
    outcomes: new Map(),
    faults: [],
    over: false,
    turn: Promise.resolve(),
  }
}

async function runAll(run: Run): Promise<void> {
  const { servers, seed } = run.settings
  await run.control.start()
  const loops = []
  for (let i = 1; i <= servers; i++) {
    const server = `kill-${i}.example.test`
    const disk = join(run.folder, `${server}.disk`)
    await writeFile(disk, '')
    await truncate(disk, diskMib * mib)
    // An account for each server: calls are limited by key.
    await run.control.addServer(server, { account: `kill-${i}`, disk, size: diskMib * mib })
    const key = await run.control.createKey(`kill-${i}`)
    loops.push({ server, disk, ask: patient(run.control.client(key)), random: new Random(seed + i) })
  }
  const watcher = watchForCrashes(run)
  const killer = killLoop(run, new Random(seed))
  await Promise.all(loops.map(({ server, disk, ask, random }) => serverLoop(run, server, disk, ask, random)))
  if (!moreToDo(run)) await killer
  run.over = true
  await watcher
}

function report(run: Run): boolean {
  const kills = Object.entries(run.kills).map(([name, count]) => `${name} ${count}`)
  const outcomes = [...run.outcomes].map(([name, count]) => `${name} ${count}`)
  console.log(`seed ${run.settings.seed}`)
  console.log(`kills: ${killCount(run)} (${kills.join(', ')})`)
  console.log(`deployments: ${run.ended} (${outcomes.join(', ')})`)
  console.log(`${run.faults.length} faults`)
  for (const fault of run.faults) console.log(`  ${fault}`)
  return (
    run.faults.length === 0 && run.ended >= run.settings.deployments && killCount(run) >= run.settings.kills
  )
}

function readSettings(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '200' },
      deployments: { type: 'string', default: '100' },
      servers: { type: 'string', default: '3' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      deadline: { type: 'string', default: '240' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return undefined
  const number = (name: 'kills' | 'deployments' | 'servers' | 'seed' | 'deadline'): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a number from 0`)
    return value
  }
  return {
    kills: number('kills'),
    deployments: number('deployments'),
    servers: Math.max(1, number('servers')),
    seed: number('seed'),
    deadlineMs: number('deadline') * 1000,
  }
}

async function main(settings: Settings): Promise<number> {
  const missing = await ensureTools({ ...smallImageTools, sgdisk: 'gdisk' }, 'for the kill test')
  if (missing.length > 0) return 1
  const { bavail, bsize } = await statfs(tmpdir())
  if (bavail * bsize < 5 * 1024 ** 3) {
    console.error(`${tmpdir()} has less than 5 GiB left`)
    return 1
  }
  console.log(`seed ${settings.seed}: ${settings.deployments} deployments, ${settings.kills} kills`)
  const run = await prepare(settings)
  let held = false
  const stopped = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve())
  })
  try {
    await Promise.race([runAll(run), stopped])
    held = report(run)
  } finally {
    await run.images.close()
    await run.control.stop()
    // A run with faults leaves its log for a look.
    if (held) await rm(run.folder, { recursive: true, force: true })
    else console.log(`log: ${run.folder}/data.log`)
  }
  return held ? 0 : 1
}

widenPath()
try {
  const settings = readSettings()
  if (settings === undefined) console.log(usage)
  else process.exitCode = await main(settings)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
process.exit()
