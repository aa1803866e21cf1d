import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { type Timekeeper } from '../clock.ts'
import { type IpmiOptions } from './ipmi-options.ts'
import { IpmiFailure } from './ipmi-failure.ts'
import { type FailedRun } from './meaning.ts'

/** How a session with the BMC is asked for. */
export interface SessionWish {
  cipherSuite: 0 | 3 | 17
  privilege: 'ADMINISTRATOR' | 'OPERATOR'
  password: string
}

export interface IpmitoolRun extends FailedRun {
  /** Exit status; null when it was killed. */
  status: number | null
  stdout: string
}

/**
 * Runs ipmitool once. Rejects with the signal's reason when it aborts, and with `IpmiFailure` when the program cannot be
 * started. `timeoutMs`: it is killed then.
 */
export type RunIpmitool = (
  command: readonly string[],
  session: SessionWish,
  timeoutMs: number,
  signal: AbortSignal,
) => Promise<IpmitoolRun>

/**
 * For commands: an answer is awaited for 5 s, then 6 s, then 7 s, so a silent BMC costs 36 s. The console has ipmitool's own
 * second: a key that is lost would come 5 s late, and a BMC that is gone be found out after minutes.
 */
const patience = ['-N', '5', '-R', '3']

/** All of ipmitool's environment but the password. */
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** More than any command says, in bytes; standard output and standard error each. */
const mostOutput = 64 * 1024

/**
 * What a hostile BMC could do through a hole in ipmitool (CVE-2020-5208 was one) is bounded: no file, no core with the password
 * in it, no second process, little memory.
 */
const limits = ['--core=0', '--fsize=0', '--nofile=64', '--nproc=1', '--as=268435456']
const commandLimits = ['--cpu=30']

/** The users that systemd gives to services without one of their own; nobody logs in as one of them or owns files. */
const users = { first: 61_184, last: 65_519 }

/** @param index Of the BMC; each one's ipmitool has a user of its own, so that none can read another's password. */
export function runIpmitoolFor(options: IpmiOptions, clock: Timekeeper, index: number): RunIpmitool {
  return async (command, session, timeoutMs, signal) => {
    signal.throwIfAborted()
    const argv = [...limited(commandLimits), ...ipmitool(options, session, [...patience, ...command])]
    const child = start(argv, session.password, index)
    child.stdin.end()
    const overtime = clock.timeout(timeoutMs)
    const kill = () => child.kill('SIGKILL')
    overtime.addEventListener('abort', kill)
    signal.addEventListener('abort', kill)
    try {
      const [out, err] = [collect(child, child.stdout), collect(child, child.stderr)]
      const status = await exitOf(child)
      signal.throwIfAborted()
      const killed = out.full() || err.full() ? 'length' : overtime.aborted && status === null ? 'time' : null
      return { status: killed === null ? status : null, killed, stdout: out.text(), stderr: err.text() }
    } finally {
      overtime.removeEventListener('abort', kill)
      signal.removeEventListener('abort', kill)
    }
  }
}

/**
 * Starts the serial console. It has pipes, no terminal: the end of its input ends it, also when this process is killed, and
 * no byte has a meaning to a terminal's driver. `stdbuf`: its ready line would wait in a buffer for the server's first word.
 */
export function startConsole(
  options: IpmiOptions,
  session: SessionWish,
  index: number,
): ChildProcessWithoutNullStreams {
  const command = ipmitool(options, session, ['sol', 'activate'])
  return start([...limited([]), 'stdbuf', '-oL', ...command], session.password, index)
}

const limited = (more: readonly string[]): string[] => ['prlimit', ...limits, ...more, '--']

/**
 * -C is always given: without it ipmitool asks for the list of suites, which some BMCs answer after tens of seconds or wrongly.
 * -v: only then it tells a wrong password from a BMC that does not answer.
 */
function ipmitool(options: IpmiOptions, session: SessionWish, command: readonly string[]): string[] {
  const { host, port, user, program = ['ipmitool'] } = options
  const to = ['-I', 'lanplus', '-H', host, '-p', String(port), '-U', user]
  const how = ['-L', session.privilege, '-C', String(session.cipherSuite), '-E', '-v']
  return [...program, ...to, ...how, ...command]
}

/** The password goes by the environment: a command line can be read by every user of the machine. */
function start(
  [file = '', ...args]: string[],
  password: string,
  index: number,
): ChildProcessWithoutNullStreams {
  const user = users.first + (index % (users.last - users.first + 1))
  const own = process.getuid?.() === 0 ? { uid: user, gid: user } : {}
  const env = { ...environment, IPMITOOL_PASSWORD: password }
  const child = spawn(file, args, { cwd: '/', env, stdio: 'pipe', ...own })
  // It may be gone before it has read its input; its exit tells more.
  child.stdin.on('error', () => undefined)
  return child
}

interface Collected {
  text(): string
  full(): boolean
}

/** Kills the child when it says too much. */
function collect(child: ChildProcessWithoutNullStreams, stream: NodeJS.ReadableStream): Collected {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= mostOutput) chunks.push(chunk)
    else child.kill('SIGKILL')
  })
  return { text: () => Buffer.concat(chunks).toString('latin1'), full: () => bytes > mostOutput }
}

/** Its exit status, null when it was killed, after its output has been read to the end. */
function exitOf(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(cannotStart(error)))
    child.once('close', (status) => resolve(status))
  })
}

export const cannotStart = (cause: NodeJS.ErrnoException): IpmiFailure =>
  new IpmiFailure(
    {
      fault: 'unreachable',
      outcome: 'refused',
      retry: 'never',
      message: `ipmitool cannot be started on the machine of the control plane (${cause.code}).`,
      remedy: `Install ipmitool, util-linux and coreutils; in a container, let root become the users ${users.first} to ${users.last}.`,
    },
    cause,
  )
