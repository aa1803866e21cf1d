import {
  type AccessRule,
  type ByoiRequest,
  type DeploymentView,
  Secret,
  type SigningKeyAnswer,
} from '@byoi/contract'
import {
  type Caller,
  type Consumer,
  type DeploymentEvent,
  type Ports,
  type Server,
  type ServerChange,
  Unavailable,
} from './ports.ts'

/** The ports in memory, for the tests of HTTP alone. Whole-system tests use the real store. */
export interface MemoryPorts extends Ports {
  consumers: Map<string, Consumer>
  secrets: Map<string, string>
  /** `account/serviceName` */
  owned: Map<string, Server>
  views: Map<string, DeploymentView>
  rescues: Map<string, DeploymentView>
  started: { request: ByoiRequest; by: Caller }[]
  forgotten: string[]
  changed: ServerChange[]
  /** By name. */
  signingKeysOf: Map<string, SigningKeyAnswer>
  eventsOf: Map<string, DeploymentEvent[]>
  /** While true every port throws `Unavailable`. */
  down: boolean
}

export interface TestKey {
  applicationKey: string
  applicationSecret: string
  consumerKey: string
}

export const allRules: AccessRule[] = (['GET', 'POST', 'PUT', 'DELETE'] as const).map((method) => ({
  method,
  path: '/*',
}))

let nextId = 1

export function addKey(
  ports: MemoryPorts,
  account: string,
  extra: Partial<Consumer> & { applicationKey?: string } = {},
): TestKey {
  const id = nextId++
  const applicationKey = extra.applicationKey ?? `app${String(id).padStart(13, '0')}`
  const applicationSecret = `secret-canary-${id}-0123456789abcdef`
  const consumerKey = `consumer-canary-${id}-0123456789abc`
  ports.secrets.set(applicationKey, applicationSecret)
  ports.consumers.set(consumerKey, {
    credentialId: id,
    applicationId: id,
    account,
    rules: allRules,
    state: 'validated',
    operator: false,
    createdAt: new Date('2026-01-12T09:30:04Z'),
    expiresAt: null,
    ...extra,
    applicationKey,
  })
  return { applicationKey, applicationSecret, consumerKey }
}

export function addServer(ports: MemoryPorts, account: string, serviceName: string): void {
  ports.owned.set(`${account}/${serviceName}`, {
    serverId: nextId++,
    serviceName,
    account,
    boot: 'uefi',
    powerState: 'poweron',
    diskGroups: [
      {
        diskGroupId: 1,
        description: '1 X Disk',
        size: 2 ** 34,
        disks: [{ serial: 'S1', wwn: null, size: 2 ** 34 }],
      },
    ],
    ownImage: false,
    rescueSshKey: null,
    efiBootloaderPath: null,
    createdAt: '2026-01-12T09:30:04.000Z',
  })
}

export const view = (
  id: string,
  serviceName: string,
  change: Partial<DeploymentView> = {},
): DeploymentView => ({
  id,
  serviceName,
  kind: 'deploy',
  state: 'open',
  phase: 'accept',
  epoch: 0,
  description: null,
  image: { url: 'https://images.example.test/a.qcow2', type: 'qcow2' },
  bytesDone: 0,
  bytesTotal: null,
  bytesPerSecond: 0,
  secondsLeft: null,
  percent: null,
  disk: 'untouched',
  checksum: null,
  error: null,
  hold: null,
  booted: null,
  rescue: null,
  steps: [],
  notes: [],
  log: [],
  createdAt: '2026-01-12T09:30:04.000Z',
  updatedAt: '2026-01-12T09:30:04.000Z',
  endedAt: null,
  ...change,
})

export function memoryPorts(): MemoryPorts {
  const claimed = new Set<string>()
  const ports: MemoryPorts = {
    consumers: new Map(),
    secrets: new Map(),
    owned: new Map(),
    views: new Map(),
    rescues: new Map(),
    started: [],
    forgotten: [],
    changed: [],
    signingKeysOf: new Map(),
    eventsOf: new Map(),
    down: false,
    credentials: {
      async findApplication(applicationKey) {
        if (ports.down) throw new Unavailable()
        const secret = ports.secrets.get(applicationKey)
        return secret === undefined ? null : { applicationKey, applicationSecret: new Secret(secret) }
      },
      async findConsumer(consumerKey) {
        if (ports.down) throw new Unavailable()
        return ports.consumers.get(consumerKey) ?? null
      },
      async findCredential(credentialId) {
        return [...ports.consumers.values()].find((one) => one.credentialId === credentialId) ?? null
      },
    },
    replays: {
      async claim(hash) {
        if (claimed.has(hash)) return false
        claimed.add(hash)
        return true
      },
    },
    servers: {
      async list(account) {
        return [...ports.owned.values()]
          .filter((server) => server.account === account)
          .map((s) => s.serviceName)
      },
      async find(account, serviceName) {
        return ports.owned.get(`${account}/${serviceName}`) ?? null
      },
      async change(account, serviceName, change) {
        const server = ports.owned.get(`${account}/${serviceName}`)
        if (server !== undefined) Object.assign(server, change)
        return server !== undefined
      },
      async add(server) {
        if (server.bmc.kind === 'unknown') return { kind: 'refused', reason: 'The kind is unknown.' }
        if ([...ports.owned.values()].some((other) => other.serviceName === server.serviceName)) {
          return { kind: 'exists' }
        }
        addServer(ports, server.account, server.serviceName)
        return { kind: 'added' }
      },
      async set(serviceName, change) {
        const server = [...ports.owned.values()].find((one) => one.serviceName === serviceName)
        if (server === undefined) return { kind: 'none' }
        const open = ports.views.get(serviceName)
        if (open?.state === 'open') return { kind: 'busy', deploymentId: open.id }
        if (change.settings?.['address'] === 'bad') return { kind: 'refused', reason: 'It does not answer.' }
        ports.changed.push(change)
        return { kind: 'set' }
      },
      async listAll() {
        return [...ports.owned.values()].map(withBmc)
      },
      async show(serviceName) {
        const server = [...ports.owned.values()].find((one) => one.serviceName === serviceName)
        return server === undefined ? null : withBmc(server)
      },
      async check(serviceName) {
        const known = [...ports.owned.values()].some((one) => one.serviceName === serviceName)
        return known ? { identity: null, power: 'on', bootDevice: 'disk', problems: [] } : null
      },
      async remove(serviceName) {
        const server = [...ports.owned.values()].find((one) => one.serviceName === serviceName)
        if (server === undefined) return { kind: 'none' }
        const open = ports.views.get(serviceName)
        if (open?.state === 'open') return { kind: 'busy', deploymentId: open.id }
        ports.owned.delete(`${server.account}/${serviceName}`)
        return { kind: 'removed' }
      },
    },
    deployments: {
      async start(_account, serviceName, request, by) {
        const open = ports.views.get(serviceName)
        if (open?.state === 'open') return { kind: 'conflict', id: open.id }
        const unknown = request.keyNames.find((name) => !ports.signingKeysOf.has(name))
        if (unknown !== undefined) return { kind: 'unknown-key', name: unknown }
        const id = `d-${nextId++}`
        ports.started.push({ request, by })
        ports.views.set(serviceName, view(id, serviceName))
        return { kind: 'started', id }
      },
      async current(account, serviceName) {
        if (account !== null && !ports.owned.has(`${account}/${serviceName}`)) return null
        return ports.views.get(serviceName) ?? null
      },
      async byId(account, id) {
        const found = [...ports.views.values()].find((one) => one.id === id)
        if (found === undefined) return null
        return account === null || ports.owned.has(`${account}/${found.serviceName}`) ? found : null
      },
      async forget(_account, serviceName) {
        if (!ports.views.delete(serviceName)) return { kind: 'none' }
        ports.forgotten.push(serviceName)
        return { kind: 'accepted' }
      },
      async *watch(id, after, signal) {
        for (const event of ports.eventsOf.get(id) ?? []) if (event.id > after) yield event
        const last = ports.eventsOf.get(id)?.at(-1)
        if (last !== undefined && last.view.endedAt !== null) return
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      },
      async rescue(_account, serviceName) {
        const open = ports.views.get(serviceName)
        if (open?.state === 'open') return { kind: 'conflict', id: open.id }
        const id = `d-${nextId++}`
        ports.rescues.set(serviceName, view(id, serviceName, { kind: 'rescue' }))
        return { kind: 'started', id }
      },
      async currentRescue(_account, serviceName) {
        return ports.rescues.get(serviceName) ?? null
      },
      async inspect(serviceName) {
        const open = ports.views.get(serviceName)
        if (open?.state === 'open') return { kind: 'conflict', id: open.id }
        const known = [...ports.owned.values()].some((one) => one.serviceName === serviceName)
        return known ? { kind: 'started', id: `inspect-${serviceName}` } : { kind: 'none' }
      },
      async resolveHold(id) {
        const found = [...ports.views.values()].find((one) => one.id === id)
        if (found === undefined) return { kind: 'none' }
        return found.state === 'hold' ? { kind: 'resolved' } : { kind: 'not-held' }
      },
    },
    keys: {
      async create(key) {
        const made = addKey(ports, key.account, { operator: key.operator, rules: key.rules })
        return {
          applicationKey: made.applicationKey,
          applicationSecret: new Secret(made.applicationSecret),
          consumerKey: new Secret(made.consumerKey),
        }
      },
      async list() {
        return [...ports.consumers.values()].map((one) => ({
          ...one,
          description: '',
          createdAt: one.createdAt.toISOString(),
          expiresAt: one.expiresAt?.toISOString() ?? null,
        }))
      },
      async revoke(applicationKey) {
        const found = [...ports.consumers.values()].filter((one) => one.applicationKey === applicationKey)
        for (const one of found) one.state = 'revoked'
        return found.length > 0
      },
    },
    signingKeys: {
      async list() {
        return [...ports.signingKeysOf.values()]
      },
      async add(_account, { key: _key, ...shown }) {
        if (ports.signingKeysOf.has(shown.name)) return { kind: 'exists' }
        const key = { ...shown, createdAt: '2026-01-12T09:30:04.000Z' }
        ports.signingKeysOf.set(key.name, key)
        return { kind: 'added', key }
      },
      async remove(_account, name) {
        return ports.signingKeysOf.delete(name)
      },
    },
    serial: {
      hasConsole: async () => false,
      recording: async () => null,
      async *follow() {},
      typist: () => async () => undefined,
      issueTicket: async () => ({ ticket: 'ticket', expiresIn: 30 }),
      takeTicket: async () => null,
    },
    health: {
      async ready() {
        return !ports.down
      },
    },
    netboot: () => null,
  }
  return ports
}

const withBmc = (server: Server) => ({
  ...server,
  bmc: { kind: 'simulated', settings: {}, identity: null },
  agentBoot: null,
  found: null,
})
