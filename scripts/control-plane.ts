/** A control plane as its own processes (`byoi up`), for the demo and the tests: start, kill, start again, stop. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, existsSync, readFileSync, readlinkSync, readdirSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiClient } from './api-client.ts'
import { type ApiKey } from './ovh-call.ts'
import { tryCommand } from './run-command.ts'

const byoi = join(import.meta.dirname, '..', 'byoi')
const startMs = 60_000
const stopMs = 20_000

export interface ControlPlaneOptions {
  /** State directory. Its parent must be readable by the database's user. */
  data: string
  /** More arguments for `byoi up`. */
  args?: string[]
  env?: NodeJS.ProcessEnv
}

/** The programs that a control plane starts: nobody else's shell or editor in that directory is touched. */
const programs = new Set(['node', 'postgres'])

const isInside = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)

function belongsTo(pid: string, folder: string): boolean {
  try {
    if (!programs.has(basename(readlinkSync(`/proc/${pid}/exe`)))) return false
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return [...words, readlinkSync(`/proc/${pid}/cwd`)].some((each) => isInside(each, folder))
  } catch {
    // It has ended meanwhile, or it is another user's.
    return false
  }
}

/** Process ids of what a control plane with its state in this folder has running, this process left out. */
export const processesOf = (folder: string): number[] =>
  readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each) && each !== String(process.pid) && belongsTo(each, folder))
    .map(Number)

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended already, which is what was wanted.
  }
}

export class ControlPlane {
  readonly data: string
  /** `https://HOST:PORT` */
  url = ''
  /** `http://HOST:PORT` where `--http` was given. */
  httpUrl: string | undefined
  /** All that it printed, over every start. */
  output = ''
  /** How often it ended although nobody asked it to. */
  crashes = 0
  readonly #options: ControlPlaneOptions
  #wanted = false
  #process: ChildProcess | undefined

  constructor(options: ControlPlaneOptions) {
    this.#options = options
    this.data = options.data
  }

  get caPath(): string {
    return join(this.data, 'tls', 'ca.pem')
  }

  get pid(): number | undefined {
    return this.#process?.exitCode === null && this.#process.signalCode === null
      ? this.#process.pid
      : undefined
  }

  /** Starts `byoi up` and waits for its ready line. After the first start the same ports are asked for again. */
  async start(): Promise<void> {
    await mkdir(this.data, { recursive: true })
    // The database runs as another user and must be able to reach its directory.
    await chmod(this.data, 0o711)
    const listen = this.url === '' ? '127.0.0.1:0' : new URL(this.url).host
    const http = this.httpUrl === undefined ? '127.0.0.1:0' : new URL(this.httpUrl).host
    const fixed = ['up', '--data', this.data, '--listen', listen, '--http', http]
    const args = [...fixed, '--allow-address', '127.0.0.0/8', ...(this.#options.args ?? [])]
    const child = spawn(byoi, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#options.env },
    })
    this.#process = child
    this.#wanted = true
    child.once('exit', () => {
      if (this.#wanted) this.crashes += 1
    })
    const log = createWriteStream(`${this.data}.log`, { flags: 'a' })
    child.stderr.on('data', (chunk: Buffer) => {
      this.output += chunk.toString()
      log.write(chunk)
    })
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#failure(`no ready line in ${startMs} ms`)), startMs)
      const settle = (error?: Error): void => {
        clearTimeout(timer)
        if (error === undefined) resolve()
        else reject(error)
      }
      child.once('error', settle)
      child.once('exit', (status) => settle(this.#failure(`ended with status ${status}`)))
      createInterface(child.stdout).on('line', (line) => {
        this.output += `${line}\n`
        log.write(`${line}\n`)
        if (this.#readLine(line)) settle()
      })
    })
  }

  /** Takes the addresses out of the ready line; true when it was one. */
  #readLine(line: string): boolean {
    if (!line.startsWith('ready ')) return false
    const addresses = line.split(/\s+/).filter((each) => /^https?:\/\//.test(each))
    this.url = addresses.find((each) => each.startsWith('https:')) ?? ''
    this.httpUrl = addresses.find((each) => each.startsWith('http:'))
    return this.url !== ''
  }

  #failure(why: string): Error {
    return new Error(`byoi up: ${why}\n${this.output.split('\n').slice(-30).join('\n')}`)
  }

  /** kill -9 of the control plane itself; what it started lives on. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#wanted = false
    if (child === undefined || this.pid === undefined) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  /** Stops it in order, waits for the end, and ends what it may have left behind. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#wanted = false
    if (child !== undefined && this.pid !== undefined) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill('SIGTERM')
      await Promise.race([ended, sleep(stopMs, undefined, { ref: false })])
      if (this.pid !== undefined) await this.kill()
    }
    const rest = processesOf(this.data)
    // The database is asked politely first, so that it removes its shared memory.
    for (const pid of rest) signal(pid, 'SIGINT')
    for (let tries = 0; processesOf(this.data).length > 0; tries++) {
      if (tries > 40) for (const pid of processesOf(this.data)) signal(pid, 'SIGKILL')
      await sleep(50)
    }
  }

  /** Process ids of the postmaster (at most one). */
  databasePids(): number[] {
    return processesOf(this.data).filter((pid) => {
      const file = join(this.data, 'postgres', 'data', 'postmaster.pid')
      return existsSync(file) && readFileSync(file, 'utf8').startsWith(`${pid}\n`)
    })
  }

  /** Process ids of the agents of its file-backed servers. */
  agentPids(): number[] {
    return processesOf(this.data).filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('apps/agent/')
      } catch {
        return false
      }
    })
  }

  /** Runs an operator's command on this control plane. @throws {Error} when it fails. */
  async operator(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await tryCommand(byoi, [...args, '--data', this.data])
    if (status !== 0) {
      throw new Error(
        `byoi ${args.slice(0, 2).join(' ')} ended with status ${status}: ${stderr}${stdout.toString()}`,
      )
    }
    return stdout.toString()
  }

  /** Adds a file-backed server. `size` in bytes. */
  async addServer(
    name: string,
    options: { account: string; disk: string; size: number; boot?: string },
  ): Promise<void> {
    const { account, disk, size, boot = 'uefi' } = options
    const disks = ['--disk', disk, '--disk-size', String(size)]
    await this.operator(
      'server',
      'add',
      name,
      '--bmc',
      'local',
      '--account',
      account,
      '--boot',
      boot,
      ...disks,
    )
  }

  /** Makes a key for an account, with the rights that a customer needs. */
  async createKey(account: string): Promise<ApiKey> {
    return JSON.parse(await this.operator('key', 'create', '--account', account, '--json')) as ApiKey
  }

  /** A client over HTTPS. */
  client(key: ApiKey): ApiClient {
    return new ApiClient(this.url, this.caPath, key)
  }
}
