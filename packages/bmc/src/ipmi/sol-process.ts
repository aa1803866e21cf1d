import { type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { type Timekeeper } from '../clock.ts'
import { cannotStart } from './ipmitool.ts'
import { IpmiFailure, type Meaning } from './ipmi-failure.ts'
import { meaningOf } from './meaning.ts'

/** ipmi_sol.c prints it when the BMC has given the console; what follows comes from the server. */
const ready = '[SOL Session operational.  Use ~? for help]\n'
const readyMs = 40_000
/** ipmitool tells the BMC that it leaves; one that does not answer is not waited for longer, in ms. */
const leaveMs = 20_000
/** More than it ever says, in characters. */
const mostErrors = 8192

/** An ipmitool that has, or is about to get, the serial console. */
export class SolProcess {
  readonly child: ChildProcessWithoutNullStreams
  /** Its exit status, null when it was killed. */
  readonly ended: Promise<number | null>
  readonly #clock: Timekeeper
  #errors = ''

  /** To be called right after the start. */
  constructor(child: ChildProcessWithoutNullStreams, clock: Timekeeper) {
    this.child = child
    this.#clock = clock
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-mostErrors)
    })
    this.ended = Promise.all([once(child, 'exit'), finished(child.stderr)]).then(
      ([[status]]) => status as number | null,
      (error: NodeJS.ErrnoException) => {
        throw cannotStart(error)
      },
    )
    this.ended.catch(() => undefined)
  }

  /** Returns when the next byte of its output comes from the server. Throws `IpmiFailure`, or the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    const overtime = this.#clock.timeout(readyMs)
    const kill = () => this.child.kill('SIGKILL')
    for (const each of [signal, overtime]) each.addEventListener('abort', kill)
    try {
      const isReady = await Promise.race([this.#readyLine(), this.ended.then(() => false)])
      if (!isReady) await this.ended
      signal.throwIfAborted()
      if (isReady) return
      const killed = overtime.aborted ? 'time' : null
      throw new IpmiFailure(meaningOf({ killed, stderr: this.#errors }))
    } finally {
      for (const each of [signal, overtime]) each.removeEventListener('abort', kill)
      if (signal.aborted) kill()
    }
  }

  /** Ends its input, which ends it; kills it when it goes on. */
  async end(): Promise<void> {
    const overtime = this.#clock.timeout(leaveMs)
    const kill = () => this.child.kill('SIGKILL')
    overtime.addEventListener('abort', kill)
    this.child.stdin.end()
    // Whoever reads goes on reading; without a reader, a full pipe would keep it.
    this.child.stdout.resume()
    await this.ended.catch(() => undefined)
    overtime.removeEventListener('abort', kill)
  }

  /** null: it left as it was told to, or the BMC ended the session, which it does when the server or itself restarts. */
  failure(status: number | null): IpmiFailure | null {
    if (status === 0 || /^SOL session closed by BMC$/m.test(this.#errors)) return null
    return new IpmiFailure(brokeOff)
  }

  /** False when its output ends without it. */
  #readyLine(): Promise<boolean> {
    const { stdout } = this.child
    let seen = Buffer.alloc(0)
    return new Promise((resolve) => {
      const read = (chunk: Buffer) => {
        seen = Buffer.concat([seen, chunk])
        const at = seen.indexOf(ready)
        if (at < 0) return
        stdout.off('data', read).pause()
        if (seen.length > at + ready.length) stdout.unshift(seen.subarray(at + ready.length))
        resolve(true)
      }
      stdout.on('data', read).once('end', () => resolve(false))
    })
  }
}

const brokeOff: Meaning = {
  fault: 'unreachable',
  outcome: 'unknown',
  retry: 'later',
  message: 'The serial console broke off: the BMC does not answer any more.',
  remedy: 'Open it again; when that fails, check the network between the control plane and the BMC.',
}
