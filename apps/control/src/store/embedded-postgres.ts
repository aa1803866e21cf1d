import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, chown, mkdir, open, readFile, realpath, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger } from 'pino'
import { StartError } from '../start-error.ts'
import { findBinaries } from './postgres-binaries.ts'
import { firstBarrier, type PostgresUser, postgresUser } from './postgres-user.ts'
import { isInUse, isPostmasterOf, readPostmasterFile } from './postmaster-file.ts'

export interface EmbeddedPostgres {
  /** For `pg`: a Unix socket, no password; only we and root can reach it. */
  connection: { host: string; user: string; database: string }
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. */
  stop: () => Promise<void>
}

/** Linux takes 107 bytes for a Unix socket's path; PostgreSQL adds its own file name. */
const longestSocketPath = 107
const socketName = '.s.PGSQL.5432'
const startMs = 60_000
const stopMs = 20_000

interface Places {
  /** `native` of the PostgreSQL package. */
  binaries: string
  data: string
  run: string
  log: string
  user: PostgresUser | null
}

/**
 * Starts the PostgreSQL of `directory` (made at the first start), or adopts the one that outlived its parent, and starts it
 * again whenever it dies, until `stop`. Throws `StartError`.
 */
export async function startPostgres(directory: string, logger: Logger): Promise<EmbeddedPostgres> {
  const places = await prepare(directory)
  await initialise(places)
  let stopping = false
  let running = await ensureRunning(places, logger)

  const keepRunning = (async () => {
    for (;;) {
      await running.ended
      if (stopping) return
      logger.warn('the database has ended and is started again')
      for (;;) {
        try {
          running = await ensureRunning(places, logger)
          break
        } catch (error) {
          if (stopping) return
          logger.error({ err: error }, 'the database could not be started again')
          await sleep(1000)
        }
      }
    }
  })()

  return {
    connection: { host: places.run, user: 'byoi', database: 'postgres' },
    stop: async () => {
      stopping = true
      const ended = keepRunning.then(() => true)
      // Again, because a start that was under way may end in another postmaster.
      do {
        await stopPostmaster(places.data, running.pid)
      } while (!(await Promise.race([ended, sleep(50, false)])))
    },
  }
}

async function prepare(directory: string): Promise<Places> {
  await mkdir(directory, { recursive: true, mode: 0o711 })
  // PostgreSQL writes the path that it was given into its files; one spelling keeps them comparable.
  const root = await realpath(directory)
  const user = await postgresUser()
  const [data, run] = [join(root, 'data'), join(root, 'run')]
  if (Buffer.byteLength(join(run, socketName)) > longestSocketPath) {
    throw new StartError(
      `The path ${run} is too long for the database's socket.`,
      'Give a data directory with a shorter path.',
    )
  }
  if (user !== null) {
    const barrier = await firstBarrier(root, user)
    if (barrier !== null) {
      throw new StartError(
        `The database's user byoi-pg cannot pass through ${barrier}.`,
        `Allow it with chmod o+x ${barrier}, or give another data directory.`,
      )
    }
  }
  for (const path of [data, run]) {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await chmod(path, 0o700)
    if (user !== null) await chown(path, user.uid, user.gid)
  }
  const binaries = await findBinaries(root, user)
  return { binaries, data, run, log: join(root, 'log'), user }
}

async function initialise(places: Places): Promise<void> {
  // Written last by initdb's own order is not promised, so a start that was cut short is told by our own mark.
  const complete = join(places.data, '..', 'initialised')
  if ((await stat(complete).catch(() => null)) !== null) return
  await emptyDirectory(places)
  const locale = ['-E', 'UTF8', '--locale=C.UTF-8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const child = await launch(places, 'initdb', ['-D', places.data, '-U', 'byoi', '-A', 'trust', ...locale])
  const status = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (status !== 0) throw await failure(places, 'The database could not be created.')
  const mark = await open(complete, 'w', 0o600)
  await mark.sync()
  await mark.close()
}

/** What an initdb that was cut short left behind holds nothing yet: the mark is written before the first start. */
async function emptyDirectory({ data, user }: Places): Promise<void> {
  await rm(data, { recursive: true, force: true })
  await mkdir(data, { mode: 0o700 })
  if (user !== null) await chown(data, user.uid, user.gid)
}

interface Running {
  pid: number
  /** Resolves when the postmaster has ended, for whatever reason. */
  ended: Promise<void>
}

async function ensureRunning(places: Places, logger: Logger): Promise<Running> {
  const found = await readPostmasterFile(places.data)
  if (found !== null && (await isPostmasterOf(found.pid, places.data))) {
    if (found.socketDirectory === places.run && (await becomesReady(places, found.pid))) {
      logger.info({ pid: found.pid }, 'adopted the database that was running')
      return { pid: found.pid, ended: hasEnded(found.pid, places.data) }
    }
    await stopPostmaster(places.data, found.pid)
  }
  await clearStaleFile(places.data)
  const until = performance.now() + startMs
  for (;;) {
    // Detached: a Ctrl-C on our terminal must reach us first, so that the database ends last.
    const settings = ['listen_addresses=', 'unix_socket_permissions=0700', 'max_connections=100']
    const args = ['-D', places.data, '-k', places.run, ...settings.flatMap((each) => ['-c', each])]
    const child = await launch(places, 'postgres', args)
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.unref()
    const pid = child.pid ?? 0
    if (await becomesReady(places, pid, child)) return { pid, ended }
    // Backends of a postmaster that was killed may hold its shared memory for a moment.
    if (performance.now() > until) throw await failure(places, 'The database could not be started.')
    await sleep(200)
  }
}

/**
 * Removes the pid file of a postmaster that is gone. PostgreSQL takes a pid that somebody else uses by now, or one that
 * nobody has reaped, for a running postmaster. Only once no process works in the data directory: an orphaned backend may
 * still write to it, and the file is what keeps a second postmaster away from that.
 */
async function clearStaleFile(data: string): Promise<void> {
  while (await isInUse(data)) await sleep(50)
  await rm(join(data, 'postmaster.pid'), { force: true })
}

async function becomesReady(places: Places, pid: number, child?: ChildProcess): Promise<boolean> {
  const until = performance.now() + startMs
  while (performance.now() < until) {
    const file = await readPostmasterFile(places.data)
    if (file?.pid === pid && file.ready) return true
    if (child === undefined ? !(await isPostmasterOf(pid, places.data)) : child.exitCode !== null)
      return false
    if (child !== undefined && child.signalCode !== null) return false
    await sleep(10)
  }
  return false
}

async function hasEnded(pid: number, data: string): Promise<void> {
  while (await isPostmasterOf(pid, data)) await sleep(300)
}

async function stopPostmaster(data: string, pid: number): Promise<void> {
  const until = performance.now() + stopMs
  for (let first = true; await isPostmasterOf(pid, data); first = false) {
    // SIGINT is fast shutdown, SIGQUIT immediate: the log is replayed at the next start (PostgreSQL, 18.5).
    if (first) signal(pid, 'SIGINT')
    else if (performance.now() > until) signal(pid, 'SIGQUIT')
    await sleep(10)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}

async function launch(places: Places, program: string, args: string[]): Promise<ChildProcess> {
  const { binaries, data, log, user } = places
  const output = await open(log, 'a', 0o600)
  try {
    const child = spawn(join(binaries, 'bin', program), args, {
      ...user,
      cwd: data,
      detached: true,
      // LANG and PG* of the caller must not reach the database.
      env: { PATH: '/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C' },
      stdio: ['ignore', output.fd, output.fd],
    })
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
    return child
  } catch (cause) {
    throw new StartError(
      `The program ${program} of the embedded database could not be run.`,
      'Check that the file system allows programs, or give an own PostgreSQL with --database.',
      cause,
    )
  } finally {
    await output.close()
  }
}

async function failure({ log }: Places, what: string): Promise<StartError> {
  const text = await readFile(log, 'utf8').catch(() => '')
  const last = text.trimEnd().split('\n').slice(-3).join(' | ')
  return new StartError(`${what} It said: ${last}`, `Look at ${log}.`)
}
