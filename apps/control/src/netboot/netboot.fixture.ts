/** For tests: servers whose BMC is a simulated one that speaks Redfish, and the listener from which they boot. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { MemoryMachine, type RedfishService, startRedfishService } from '@byoi/bmc'
import {
  type AgentBoot,
  type BootMedium,
  bootMediumBytes,
  type RamdiskManifest,
  Secret,
} from '@byoi/contract'
import { pino } from 'pino'
import { account, type Bench, caller, eventually, TestAgent } from '../control-plane.fixture.ts'
import { type ServerChange } from '../http/ports.ts'
import { readCertificates } from '../tls/certificates.ts'
import { bootRoutes } from './boot-routes.ts'
import { isoRoutes } from './iso-routes.ts'
import { createProvisioningServer, defaultLimits, type ProvisioningLimits } from './provisioning-server.ts'

export const bmcPassword = 'canary-bmc-password'
export const kernelWords = 'console=tty0 console=ttyS0,115200'

/** What `byoi ramdisk build` leaves, filled with noise. */
export interface TestRamdisk {
  directory: string
  manifest: RamdiskManifest
  files: Record<'vmlinuz' | 'initrd' | 'iso', Buffer>
}

export async function makeRamdisk(directory: string, isoBytes = 1024 * 1024 + 512): Promise<TestRamdisk> {
  const files = { vmlinuz: randomBytes(3000), initrd: randomBytes(5000), iso: randomBytes(isoBytes) }
  const built = (name: string, data: Buffer) => ({
    name,
    size: data.length,
    sha256: createHash('sha256').update(data).digest('hex'),
  })
  const manifest: RamdiskManifest = {
    version: 1,
    flavour: 'cloud',
    release: 'test',
    kernel: '6.1.0-test',
    kernelWords,
    files: {
      vmlinuz: built('vmlinuz', files.vmlinuz),
      initrd: built('initrd', files.initrd),
      iso: built('byoi.iso', files.iso),
    },
    iso: {
      medium: { offset: 300 * 1024, length: bootMediumBytes },
      words: { offset: 600 * 1024, length: 512 },
    },
    packages: {},
  }
  await mkdir(join(directory, 'ipxe'), { recursive: true })
  await writeFile(join(directory, 'vmlinuz'), files.vmlinuz)
  await writeFile(join(directory, 'initrd'), files.initrd)
  await writeFile(join(directory, 'byoi.iso'), files.iso)
  await writeFile(join(directory, 'ipxe', 'snponly.efi'), 'an EFI program')
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest))
  return { directory, manifest, files }
}

export interface TestAnswer {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
}

export interface Provisioning {
  url: string
  port: number
  ramdisk: TestRamdisk
  /** Lines of its log. */
  log: string[]
  /** Sends a request as it is written. `from`: the local address that it comes from. */
  ask(
    path: string,
    options?: { method?: string; headers?: Record<string, string>; from?: string; body?: string },
  ): Promise<TestAnswer>
  close(): Promise<void>
}

/** The listener for the servers of a bench, on loopback. */
export async function openProvisioning(
  bench: Bench,
  limits: Partial<ProvisioningLimits> = {},
): Promise<Provisioning> {
  const ramdisk = await makeRamdisk(join(bench.directory, 'ramdisk'))
  const log: string[] = []
  const logger = pino({ level: 'debug' }, { write: (line: string) => log.push(line) })
  bench.context.logger = logger
  const routes = [
    ...bootRoutes(bench.context, ramdisk.directory),
    ...isoRoutes(bench.context, ramdisk.directory),
  ]
  const server = createProvisioningServer(routes, logger, { ...defaultLimits, ...limits })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const url = `http://127.0.0.1:${port}`
  bench.context.provisioning = { url, mediaUrl: 'http://media.example', ramdisk: ramdisk.directory }
  bench.context.endpoints.agentUrl = 'https://agents.example'
  return {
    url,
    port,
    ramdisk,
    log,
    ask: async (path, { method = 'GET', headers = {}, from = '127.0.0.1', body = '' } = {}) => {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = httpRequest({
          port,
          host: '127.0.0.1',
          path,
          method,
          headers,
          localAddress: from,
          agent: false,
        })
        request.once('response', resolve).once('error', reject).end(body)
      })
      return { status: answer.statusCode ?? 0, headers: answer.headers, body: await buffer(answer) }
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

const services: RedfishService[] = []
const certificates = new WeakMap<Bench, ReturnType<typeof readCertificates>>()

/** Made once: several BMCs start at a time, and a key takes its time. */
function certificatesOf(bench: Bench): ReturnType<typeof readCertificates> {
  const made = certificates.get(bench) ?? readCertificates(join(bench.directory, 'bmc-tls'), ['127.0.0.1'])
  certificates.set(bench, made)
  return made
}

let machines = 0

interface SimulatedBmc {
  /** Counts them. */
  number: number
  machine: MemoryMachine
  service: RedfishService
}

/** A machine with a simulated BMC, which runs until `closeBmcs`. */
export async function startBmc(bench: Bench): Promise<SimulatedBmc> {
  machines += 1
  const number = machines
  const uuid = `6ba7b810-9dad-41d1-80b4-${String(number).padStart(12, '0')}`
  const machine = new MemoryMachine({
    identity: { uuid, manufacturer: 'byoi', model: 'memory machine', serial: `SIM${number}` },
  })
  const { key, cert } = await certificatesOf(bench)
  const service = await startRedfishService({
    machine,
    user: 'admin',
    password: bmcPassword,
    tls: { key, cert },
    host: '127.0.0.1',
    port: 0,
  })
  services.push(service)
  return { number, machine, service }
}

/** After the bench is closed, which turns its servers off. */
export const closeBmcs = async () => await Promise.all(services.splice(0).map((each) => each.close()))

/** A server as it would be added for a BMC. */
export const described = (name: string, address: string, agentBoot: Partial<AgentBoot> = {}) => ({
  serviceName: name,
  account,
  boot: 'uefi' as const,
  diskGroups: [],
  bmc: { kind: 'redfish', settings: { address, user: 'admin' }, password: new Secret(bmcPassword) },
  agentBoot: { way: 'netboot' as const, macs: [macOf(name)], kernelWords: '', network: null, ...agentBoot },
})

/** A MAC address that belongs to a name. */
export const macOf = (name: string): string =>
  `52:54:00:${(createHash('sha256').update(name).digest('hex').slice(0, 6).match(/../g) ?? []).join(':')}`

/** A server of a bench with a simulated BMC. */
export class RealServer {
  readonly bench: Bench
  readonly name: string
  readonly mac: string
  readonly machine: MemoryMachine
  readonly service: RedfishService

  constructor(bench: Bench, name: string, machine: MemoryMachine, service: RedfishService) {
    this.bench = bench
    this.name = name
    this.mac = macOf(name)
    this.machine = machine
    this.service = service
  }

  static async add(bench: Bench, agentBoot: Partial<AgentBoot> = {}): Promise<RealServer> {
    const { number, machine, service } = await startBmc(bench)
    const name = `real${number}.example`
    const added = await bench.ports.servers.add(described(name, service.url, agentBoot), caller)
    if (added.kind !== 'added') throw new Error(JSON.stringify(added))
    return new RealServer(bench, name, machine, service)
  }

  inspect = async (): Promise<string> => {
    const started = await this.bench.ports.deployments.inspect(this.name, caller)
    if (started.kind !== 'started') throw new Error(started.kind)
    return started.id
  }

  /** The deployment's row, once it is in the phase. */
  until = async (id: string, phase: string) =>
    await eventually(`${this.name} in ${phase}`, async () => {
      const row = await this.row(id)
      return row.phase === phase || row.state !== 'open' ? row : null
    })

  row = async (id: string) =>
    await this.bench.db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

  set = async (change: ServerChange) => await this.bench.ports.servers.set(this.name, change, caller)
}

/** The boot medium in the archive that a server fetched. */
export function mediumIn(archive: Buffer): BootMedium {
  const [text] = /\{.*\}/.exec(archive.toString('utf8')) ?? ['null']
  return JSON.parse(text) as BootMedium
}

export const agentOf = (bench: Bench, archive: Buffer): TestAgent =>
  new TestAgent(bench.app, mediumIn(archive))

/** The word in a script or URL. */
export const wordIn = (text: string): string => /[0-9a-f]{40}/.exec(text)?.[0] ?? ''
