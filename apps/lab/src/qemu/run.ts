import { type ChildProcess, spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Monitor } from './monitor.ts'

const qemu = 'qemu-system-x86_64'
/** ms that QEMU has to call its monitor, and to end when it is told to. */
const startMs = 30_000
const quitMs = 10_000

/** Why a start of the server is over: the guest asked for a reset, or whatever else leaves a server off. */
export type RunEnd = 'reset' | 'off'

/** One start of QEMU, from power-on to the next power-off or reset. */
export class QemuRun {
  /** Resolves when QEMU is gone, and never rejects. */
  readonly ended: Promise<RunEnd>
  readonly pid: number
  readonly #process: ChildProcess
  readonly #monitor: Monitor
  #reset = false

  private constructor(child: ChildProcess, pid: number, exited: Promise<void>, monitor: Monitor) {
    this.#process = child
    this.pid = pid
    this.#monitor = monitor
    monitor.on('event', (name, data) => {
      const reset = data['reason'] === 'guest-reset' || data['reason'] === 'host-qmp-system-reset'
      if (name === 'SHUTDOWN') this.#reset = reset
    })
    // The last events may still be on their way when the process is gone.
    const heard = new Promise<void>((resolve) => monitor.once('end', resolve))
    this.ended = Promise.all([exited, heard]).then(() => (this.#reset ? 'reset' : 'off'))
  }

  /**
   * Resolves when QEMU runs the server.
   * @param monitorPath Unix socket that the arguments name for the monitor.
   * @throws {Error} with QEMU's last words when it does not start.
   */
  static async start(args: string[], monitorPath: string): Promise<QemuRun> {
    const caller = await firstCaller(monitorPath)
    const child = spawn(qemu, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const exited = new Promise<void>((resolve) => {
      child.once('error', () => resolve())
      child.once('exit', () => resolve())
    })
    let words = ''
    child.once('error', (error) => (words += error.message))
    child.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-2000)))
    try {
      const early = exited.then(() => Promise.reject(new Error('it has ended')))
      const monitor = await Promise.race([
        caller.socket.then((socket) => Monitor.open(socket)),
        early,
        timeout(startMs),
      ])
      return new QemuRun(child, child.pid ?? 0, exited, monitor)
    } catch (error) {
      child.kill('SIGKILL')
      await exited
      throw new Error(`QEMU did not start: ${words.trim() || (error as Error).message}`, { cause: error })
    } finally {
      caller.close()
    }
  }

  /** Cuts the power: nothing is asked, and what the guest had not flushed may be lost to it. */
  async cut(): Promise<void> {
    // It may end before it answers.
    this.#monitor.execute('quit').catch(() => undefined)
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), quitMs)
    await this.ended
    clearTimeout(timer)
  }

  /** Presses the power button (ACPI): the operating system decides what it makes of it. */
  async press(): Promise<void> {
    await this.#monitor.execute('system_powerdown')
  }
}

async function timeout(ms: number): Promise<never> {
  await sleep(ms, undefined, { ref: false })
  throw new Error(`QEMU did not call its monitor within ${ms / 1000} s.`)
}

interface Caller {
  socket: Promise<Socket>
  /** Takes no more callers. */
  close(): void
}

/** Listens for the one connection that QEMU makes. */
async function firstCaller(path: string): Promise<Caller> {
  await rm(path, { force: true })
  const server = createServer()
  const socket = new Promise<Socket>((resolve) => server.once('connection', resolve))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  return { socket, close: () => server.close() }
}
