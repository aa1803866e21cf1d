/** What the tests in virtual servers share: a lab of their own, images on HTTP, keys, and proofs. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { imageServer, type ImageServer, type ServeOptions } from '../../scripts/image-server.ts'
import { lastWord, type OwnWords, proofUserData, readOwnWords } from '../../scripts/lab/own-words.ts'
import { type SshKey } from '../../scripts/lab/ssh.ts'
import { inGuest, VirtualLab, type VirtualServer } from '../../scripts/lab/virtual-lab.ts'
import { command } from '../../scripts/run-command.ts'

const mib = 1024 * 1024
const minute = 60_000

/** Longest waits, in ms. Emulated servers take a tenth of them on a quiet machine. */
export const patience = { deploy: 10 * minute, boot: 10 * minute, agent: 5 * minute, word: 3 * minute }

export class Rig {
  readonly folder: string
  #lab: VirtualLab | null = null
  readonly #images: ImageServer[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), 'byoi-lab-'))
    // The database's user must be able to pass.
    await chmod(folder, 0o711)
    return new Rig(folder)
  }

  get lab(): VirtualLab {
    assert.ok(this.#lab, 'the lab is up')
    return this.#lab
  }

  /** Adds one server. @param args For `byoi lab up`. */
  async server(...args: string[]): Promise<VirtualServer> {
    const ramdisk = process.env['BYOI_LAB_RAMDISK']
    const built = ramdisk === undefined ? [] : ['--ramdisk', ramdisk]
    this.#lab = await VirtualLab.up(join(this.folder, 'lab'), ...built, ...args)
    const server = (await this.#lab.servers()).at(-1)
    assert.ok(server)
    return server
  }

  /** URL of the file, as servers see it. */
  async serve(path: string, options: ServeOptions = {}): Promise<string> {
    const images = await imageServer([path], options)
    this.#images.push(images)
    return inGuest(images.urlOf(path))
  }

  async close(): Promise<void> {
    await this.#lab?.down()
    for (const images of this.#images) await images.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Fills the ends of the server's second disk, as if somebody's data were on it. Gives a copy to compare with. */
export async function fillSecondDisk(server: VirtualServer): Promise<string> {
  const disk = server.plan.disks[1]
  assert.ok(disk)
  const file = await open(disk.path, 'r+')
  for (const at of [0, disk.size / 2, disk.size - 4 * mib])
    await file.write(randomBytes(4 * mib), 0, 4 * mib, at)
  await file.close()
  const copy = `${disk.path}.before`
  await command('cp', ['--sparse=always', disk.path, copy])
  return copy
}

export async function assertSecondDiskUntouched(server: VirtualServer, copy: string): Promise<void> {
  await command('cmp', ['--', server.plan.disks[1]?.path ?? '', copy])
}

/** A request that asks for everything that the deployed system can prove. */
export const provenRequest = (url: string, sum: string, hostname: string, key: SshKey): object => ({
  URL: url,
  type: 'qcow2',
  checkSum: sum,
  checkSumType: 'sha256',
  configdrive: {
    enable: true,
    hostname,
    sshKey: key.line,
    userData: proofUserData,
    userMetadatas: [{ key: 'role', value: `role of ${hostname}` }],
  },
})

/** Deploys, follows to the end, and gives what the system says of itself. */
export async function deployAndListen(server: VirtualServer, request: object): Promise<OwnWords> {
  const from = (await server.serial()).length
  await server.deploy(request)
  const view = await server.ended(patience.deploy)
  assert.equal(view.state, 'done', JSON.stringify(view.error ?? view.hold))
  await server.says(lastWord, patience.boot, from)
  return readOwnWords((await server.serial()).slice(from))
}

/** What the deployed system must say: `root` has grown to nearly the whole of the first disk. */
export function assertOwnWords(
  server: VirtualServer,
  words: OwnWords,
  wanted: Omit<OwnWords, 'root' | 'metadata'>,
): void {
  const { root, ...rest } = words
  assert.deepEqual(rest, { ...wanted, metadata: `role of ${wanted.hostname}` })
  assert.ok(Number(root) > (server.plan.disks[0]?.size ?? 0) * 0.9, `the root file system has ${root} bytes`)
}
