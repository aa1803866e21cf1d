/** What the whole-system tests share: a control plane of their own, small images, an image server, and waiting for states. */
import { chmod, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeploymentView } from '@byoi/contract'
import { type ApiClient } from '../../scripts/api-client.ts'
import { ControlPlane } from '../../scripts/control-plane.ts'
import { missingTools, widenPath, type ToolPackages } from '../../scripts/debian-packages.ts'
import { type ApiKey } from '../../scripts/ovh-call.ts'
import { smallImageTools } from '../../scripts/small-image.ts'

widenPath()

const mib = 1024 * 1024
const pollMs = 100

/** Tools that every deployment in these tests needs. */
export const labTools: ToolPackages = { ...smallImageTools, sgdisk: 'gdisk' }

/** For a test's `skip`: the names of the tools that are absent, or false when all are there. */
export function absent(tools: ToolPackages = labTools): string | false {
  const missing = missingTools(tools)
  return missing.length === 0 ? false : `absent: ${missing.join(', ')}`
}

export const byoiRoute = (server: string): string => `/dedicated/server/${server}/bringYourOwnImage`

/** Calls `look` until it gives something. @throws {Error} naming `what` after `ms`. */
export async function waitFor<T>(what: string, look: () => Promise<T | undefined>, ms = 60_000): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(pollMs)
  }
}

/** The server's newest deployment; undefined where the API cannot say for now. */
export async function viewOf(client: ApiClient, server: string): Promise<DeploymentView | undefined> {
  const answer = await client.call('GET', `/byoi/server/${server}/deployment`).catch(() => undefined)
  return answer?.status === 200 ? (answer.body as DeploymentView) : undefined
}

/** Waits until the server's newest deployment has ended (or holds). */
export const untilEnded = (client: ApiClient, server: string, ms = 60_000): Promise<DeploymentView> =>
  waitFor(
    `the end of ${server}'s deployment`,
    async () => {
      const view = await viewOf(client, server)
      return view === undefined || view.state === 'open' ? undefined : view
    },
    ms,
  )

/** Waits until the deployment is in one of the phases. */
export const untilPhase = (client: ApiClient, server: string, phases: string[]): Promise<DeploymentView> =>
  waitFor(`${server} in ${phases.join(' or ')}`, async () => {
    const view = await viewOf(client, server)
    return view !== undefined && phases.includes(view.phase) ? view : undefined
  })

/** Waits until DELETE has done all of its work: the deployment is cancelled and the server in rescue. */
export const untilForgotten = (client: ApiClient, id: string): Promise<DeploymentView> =>
  waitFor(`the end of the cancelled deployment ${id}`, async () => {
    const answer = await client.call('GET', `/byoi/deployment/${id}`).catch(() => undefined)
    const view = answer?.status === 200 ? (answer.body as DeploymentView) : undefined
    return view !== undefined && view.state === 'cancelled' && view.endedAt !== null ? view : undefined
  })

export class Lab {
  readonly folder: string
  readonly control: ControlPlane
  /** The account that owns the lab's servers. */
  readonly account = 'alice'
  key!: ApiKey
  client!: ApiClient

  constructor(folder: string, control: ControlPlane) {
    this.folder = folder
    this.control = control
  }

  /** Adds a file-backed server and gives the path of its disk. */
  async addServer(name: string, sizeMib = 64, boot = 'uefi'): Promise<string> {
    const disk = join(this.folder, `${name}.disk`)
    await writeFile(disk, '')
    await truncate(disk, sizeMib * mib)
    await this.control.addServer(name, { account: this.account, disk, size: sizeMib * mib, boot })
    return disk
  }

  async close(): Promise<void> {
    await this.control.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Starts a control plane with an empty state and a key for its account. */
export async function startLab(args: string[] = []): Promise<Lab> {
  const folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))
  // The database's user must be able to pass.
  await chmod(folder, 0o711)
  const control = new ControlPlane({ data: join(folder, 'data'), args })
  const lab = new Lab(folder, control)
  try {
    await control.start()
    lab.key = await control.createKey(lab.account)
    lab.client = control.client(lab.key)
    return lab
  } catch (error) {
    await lab.close()
    throw error
  }
}
