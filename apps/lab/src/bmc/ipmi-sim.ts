import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { socketsOf } from '../qemu-machine.ts'
import { type ServerPlan } from '../server-plan.ts'
import { answersPing } from './rmcp-ping.ts'

const program = fileURLToPath(new URL('chassis-program.ts', import.meta.url))
const startMs = 15_000
const stopMs = 5000

/** A BMC without sensors; the numbers are those of QEMU's documentation for ipmi_sim. */
const controller = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

/**
 * ipmi_lan(5). Logging in needs the password in every way: no `none` and no `straight` among the authentications. Node is not told
 * to be small here: the program lives for a moment.
 */
const configuration = ({ folder, uuid, bmc, ports }: ServerPlan): string => `name "lab"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 ${ports.ipmi}
  priv_limit admin
  allowed_auths_callback md5
  allowed_auths_user md5
  allowed_auths_operator md5
  allowed_auths_admin md5
  guid ${uuid.replaceAll('-', '')}
endlan
chassis_control "${process.execPath} ${program} ${socketsOf(folder).control} 0x20"
sol "tcp:127.0.0.1:${ports.serial}" 115200
user 2 true "${bmc.user}" "${bmc.password}" admin 10 md5
`

/** The BMC's IPMI face: OpenIPMI's ipmi_sim, for as long as it is not closed. */
export class IpmiSim {
  readonly #process: ChildProcess
  readonly #exited: Promise<void>

  private constructor(child: ChildProcess) {
    this.#process = child
    this.#exited = new Promise((resolve) => {
      child.once('error', () => resolve())
      child.once('exit', () => resolve())
    })
  }

  /**
   * Resolves when it answers.
   * @param onEnd Called when it ends later although nobody has closed it, with its last words.
   * @throws {Error} when it does not start, for example since the port is taken.
   */
  static async start(plan: ServerPlan, onEnd: (words: string) => void): Promise<IpmiSim> {
    const state = join(plan.folder, 'ipmi')
    await mkdir(state, { recursive: true, mode: 0o700 })
    const [lan, commands] = [join(state, 'lan.conf'), join(state, 'controller.emu')]
    await writeFile(lan, configuration(plan), { mode: 0o600 })
    await writeFile(commands, controller)
    const child = spawn('ipmi_sim', ['-n', '-c', lan, '-f', commands, '-s', state], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const sim = new IpmiSim(child)
    let words = ''
    child.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-1000)))
    child.once('error', (error) => (words = error.message))
    const ended = sim.#exited.then(() => {
      throw new Error(`ipmi_sim has ended: ${words.trim()}`)
    })
    await Promise.race([ended, untilAnswers(plan.ports.ipmi)])
    ended.catch((error: Error) => {
      if (!child.killed) onEnd(error.message)
    })
    return sim
  }

  async close(): Promise<void> {
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), stopMs)
    await this.#exited
    clearTimeout(timer)
  }
}

async function untilAnswers(port: number): Promise<void> {
  const end = Date.now() + startMs
  while (!(await answersPing(port, 200))) {
    if (Date.now() > end) throw new Error(`ipmi_sim does not answer on port ${port}.`)
    await sleep(50)
  }
}
