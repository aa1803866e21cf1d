/** A lab as its own processes (`byoi lab up`), for `npm run lab` and its tests. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { type DeploymentView } from '@byoi/contract'
import { ApiClient } from '../api-client.ts'
import { ovhCall, type ApiKey, type OvhAnswer } from '../ovh-call.ts'
import { command } from '../run-command.ts'

export const byoi = join(import.meta.dirname, '..', '..', 'byoi')

/** What `byoi lab status --json` tells of a server; see apps/lab. */
interface ServerStatus {
  plan: {
    name: string
    folder: string
    mac: string
    disks: { path: string; size: number }[]
    ports: { ssh: number }
  }
  machine: { power: 'on' | 'off'; starts: number; pid: number | null; medium: string | null } | null
}

interface LabStatus {
  control: { url: string; data: string } | null
  servers: ServerStatus[]
}

/** What servers call this machine. */
export const hostInGuest = '10.0.2.2'

/** URL of this machine's loopback as servers see it. */
export const inGuest = (url: string): string => url.replace('127.0.0.1', hostInGuest)

const pollMs = 200

export class VirtualLab {
  readonly folder: string
  /** State directory of its control plane. */
  readonly data: string
  /** `https://127.0.0.1:PORT` */
  readonly url: string
  readonly key: ApiKey
  readonly client: ApiClient

  private constructor(folder: string, control: { url: string; data: string }, key: ApiKey) {
    this.folder = folder
    this.data = control.data
    this.url = control.url
    this.key = key
    this.client = new ApiClient(control.url, this.caPath, key)
  }

  get caPath(): string {
    return join(this.data, 'tls', 'ca.pem')
  }

  /**
   * Begins a lab, or adds servers to it. @param args For `byoi lab up`.
   * @throws {Error} with the command's own words; nothing runs then.
   */
  static async up(folder: string, ...args: string[]): Promise<VirtualLab> {
    await command(byoi, ['lab', 'up', '--data', folder, ...args])
    const { control } = await readStatus(folder)
    if (control === null) throw new Error(`the lab in ${folder} has no control plane`)
    const create = ['key', 'create', '--account', 'lab', '--json', '--data', control.data]
    const key = JSON.parse((await command(byoi, create)).toString()) as ApiKey
    return new VirtualLab(folder, control, key)
  }

  /** Ends everything. `keep`: its files stay. */
  async down(keep = false): Promise<void> {
    await command(byoi, ['lab', 'down', '--data', this.folder, ...(keep ? ['--keep'] : [])])
  }

  /** The servers, in the order in which they were added. */
  async servers(): Promise<VirtualServer[]> {
    const { servers } = await readStatus(this.folder)
    return servers.map(({ plan }) => new VirtualServer(this, plan))
  }

  /** Runs an operator's command on its control plane. @throws {Error} when it fails. */
  async operator(...args: string[]): Promise<string> {
    return (await command(byoi, [...args, '--data', this.data])).toString()
  }

  async status(name: string): Promise<ServerStatus> {
    const found = (await readStatus(this.folder)).servers.find(({ plan }) => plan.name === name)
    if (found === undefined) throw new Error(`the lab has no server ${name}`)
    return found
  }
}

const readStatus = async (folder: string): Promise<LabStatus> =>
  JSON.parse((await command(byoi, ['lab', 'status', '--json', '--data', folder])).toString()) as LabStatus

export class VirtualServer {
  readonly name: string
  readonly plan: ServerStatus['plan']
  readonly #lab: VirtualLab

  constructor(lab: VirtualLab, plan: ServerStatus['plan']) {
    this.#lab = lab
    this.name = plan.name
    this.plan = plan
  }

  /** One call through OVHcloud's npm client. `path` begins after the server's name. */
  async ovh(method: string, path = '', body?: unknown): Promise<OvhAnswer> {
    const { url, caPath, key } = this.#lab
    return await ovhCall(url, caPath, { key, method, path: `/dedicated/server/${this.name}${path}`, body })
  }

  /** Starts a deployment through OVHcloud's npm client. @throws {Error} when it is refused. */
  async deploy(body: object): Promise<void> {
    const answer = await this.ovh('POST', '/bringYourOwnImage', body)
    if (!answer.ok) throw new Error(`POST bringYourOwnImage of ${this.name} was refused: ${answer.message}`)
  }

  /** Its newest deployment or rescue. */
  async view(): Promise<DeploymentView> {
    const { status, body, text } = await this.#lab.client.call('GET', `/byoi/server/${this.name}/deployment`)
    if (status !== 200) throw new Error(`GET the deployment of ${this.name} answered ${status}: ${text}`)
    return body as DeploymentView
  }

  /** Looks at the newest deployment until `found` gives something. @throws {Error} with where it stands after `ms`. */
  async watch<T>(what: string, ms: number, found: (view: DeploymentView) => T | undefined): Promise<T> {
    for (const end = Date.now() + ms; ; await sleep(pollMs)) {
      const view = await this.view()
      const result = found(view)
      if (result !== undefined) return result
      if (Date.now() < end) continue
      const { state, phase, error, hold, log } = view
      const facts = JSON.stringify({ state, phase, error, hold, log: log.slice(-8) }, null, 2)
      throw new Error(`${this.name}: ${what}: not within ${ms / 1000} s: ${facts}`)
    }
  }

  /** Waits until the deployment has ended, or holds. */
  async ended(ms: number): Promise<DeploymentView> {
    return await this.watch('end of the deployment', ms, (view) => (view.state === 'open' ? undefined : view))
  }

  /** Waits until it is in rescue, and tells how to log in. @throws {Error} after `ms`. */
  async inRescue(ms: number): Promise<{ hostKeys: string[]; addresses: string[] }> {
    for (const end = Date.now() + ms; ; await sleep(pollMs)) {
      const { status, body, text } = await this.#lab.client.call('GET', `/byoi/server/${this.name}/rescue`)
      const rescue = status === 200 ? (body as DeploymentView).rescue : null
      if (rescue !== null) return rescue
      if (Date.now() > end) throw new Error(`${this.name} is not in rescue after ${ms / 1000} s: ${text}`)
    }
  }

  /** All that its serial console has said, without carriage returns and terminal commands. */
  async serial(): Promise<string> {
    const text = await readFile(join(this.plan.folder, 'serial.log'), 'latin1').catch(() => '')
    return stripVTControlCharacters(text).replaceAll('\r', '')
  }

  /** Waits until the console says something new. @param from Characters of `serial` that were said before. */
  async says(pattern: RegExp, ms: number, from = 0): Promise<string> {
    for (const end = Date.now() + ms; ; await sleep(pollMs)) {
      const text = (await this.serial()).slice(from)
      const match = pattern.exec(text)
      if (match !== null) return match[0]
      if (Date.now() < end) continue
      throw new Error(
        `${this.name} did not say ${pattern} within ${ms / 1000} s; its last words:\n${text.slice(-2000)}`,
      )
    }
  }

  /** Asks its BMC by ipmitool, behind the control plane's back. */
  async ipmi(...args: string[]): Promise<string> {
    const file = join(this.plan.folder, 'server.json')
    const { bmc, ports } = JSON.parse(await readFile(file, 'utf8')) as {
      bmc: { user: string; password: string }
      ports: { ipmi: number }
    }
    const to = ['-I', 'lanplus', '-C', '3', '-H', '127.0.0.1', '-p', String(ports.ipmi), '-U', bmc.user, '-E']
    const env = { ...process.env, IPMITOOL_PASSWORD: bmc.password }
    return (await command('ipmitool', [...to, ...args], { env })).toString()
  }

  /** Cuts its power: QEMU is killed, and nothing is asked. True when it was on. */
  async cutPower(): Promise<boolean> {
    const { machine } = await this.#lab.status(this.name)
    if (machine?.pid === undefined || machine.pid === null) return false
    process.kill(machine.pid, 'SIGKILL')
    return true
  }
}
