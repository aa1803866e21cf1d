import {
  type AccessRule,
  type AgentBoot,
  type ByoiRequest,
  type DeploymentView,
  type DiskFacts,
  type HoldDecision,
  type NetbootAnswer,
  type Secret,
  type SerialState,
  type SerialTicket,
  type ServerAnswer,
  type ServerCheck,
  type SigningKeyAnswer,
} from '@byoi/contract'

/**
 * What HTTP needs from the rest of the control plane. Everything passed in is already validated; everything returned is
 * ready to be shown unless it is a `Secret`. Every function may throw `Unavailable` when the database is away: the caller
 * then gets 503 with Retry-After and may repeat.
 */
export interface Ports {
  credentials: Credentials
  replays: Replays
  servers: Servers
  deployments: Deployments
  keys: Keys
  signingKeys: SigningKeys
  serial: Serial
  health: Health
  /** What the boot of real servers needs to know; null: there is no provisioning listener. */
  netboot: () => NetbootAnswer | null
}

/** The database (or what else is needed to answer) is away for now. */
export class Unavailable extends Error {
  constructor(cause?: unknown) {
    super('The control plane cannot reach its database.', { cause })
    this.name = 'Unavailable'
  }
}

/** Who calls, for the audit row. Holds no secret. */
export interface Caller {
  account: string
  /** Names the key in logs and audit rows; the consumer key itself is a secret. */
  applicationKey: string
  credentialId: number
  operator: boolean
  /** IP address of the peer. */
  address: string
  queryId: string
}

export interface Application {
  applicationKey: string
  /** Recoverable, because the signature is a hash over it. */
  applicationSecret: Secret
}

/** `auth.CredentialStateEnum` that matter here; a revoked key is kept, so that its owner is told what happened. */
export type CredentialState = 'validated' | 'expired' | 'revoked'

export interface Consumer {
  /** Integer from 1, as OVHcloud's `credentialId` and `applicationId`. */
  credentialId: number
  applicationId: number
  /** The application that this consumer key belongs to; another application's signature is not accepted. */
  applicationKey: string
  account: string
  rules: AccessRule[]
  state: CredentialState
  operator: boolean
  createdAt: Date
  /** null: never. */
  expiresAt: Date | null
}

export interface Credentials {
  /** null when there is none. The key is any text of 1 to 128 printable ASCII characters. */
  findApplication(applicationKey: string): Promise<Application | null>
  /** null when there is none. Same range. */
  findConsumer(consumerKey: string): Promise<Consumer | null>
  /** The same by its number. */
  findCredential(credentialId: number): Promise<Consumer | null>
}

export interface Replays {
  /**
   * Marks a signature as used, for all replicas at once (a unique row). `signatureHash`: SHA-256 in lower-case hex.
   * False when it was marked before. The row may be dropped after `expiresInMs`.
   */
  claim(signatureHash: string, expiresInMs: number): Promise<boolean>
}

/** `size` in bytes: the whole group. A deployment writes the first disk of the group. */
export interface DiskGroup {
  /** From 1, unique in the server. */
  diskGroupId: number
  description: string
  size: number
  disks: DiskIdentity[]
}

/** A disk by what it is; see the agent's `DiskFacts`. `size` in bytes. */
export type DiskIdentity = Pick<DiskFacts, 'serial' | 'wwn' | 'size'>

/** How to reach the server's BMC. What `settings` must hold depends on `kind` (local, simulated, redfish, ipmi). */
export interface BmcSettings {
  kind: string
  /** Nothing secret: address, user name, path of a disk file. Shown to operators. */
  settings: Record<string, string | number | boolean>
  /** Stored encrypted, never shown. */
  password: Secret | null
}

export interface Server {
  /** Integer from 1: OVHcloud's `serverId`. */
  serverId: number
  /** `^[a-z0-9.-]{1,253}$` */
  serviceName: string
  account: string
  boot: 'uefi' | 'legacy'
  /** As last seen; null while it was never read. */
  powerState: 'poweron' | 'poweroff' | null
  diskGroups: DiskGroup[]
  /** True when the last deployment that ended is `done`: the server runs the customer's own image. */
  ownImage: boolean
  /** OVHcloud's properties of the same names. */
  rescueSshKey: string | null
  efiBootloaderPath: string | null
  /** RFC 3339. */
  createdAt: string
}

export interface ServerDetail extends Server {
  bmc: ServerAnswer['bmc']
  agentBoot: AgentBoot | null
  found: ServerAnswer['found']
}

export interface NewServer {
  serviceName: string
  account: string
  boot: 'uefi' | 'legacy'
  /** Empty: made from what the agent finds. */
  diskGroups: DiskGroup[]
  bmc: BmcSettings
  /** null for a file-backed server. */
  agentBoot: AgentBoot | null
}

/** What a server's owner may change; what is absent stays. */
export interface OwnerChange {
  /** An OpenSSH public key line; null: none. */
  rescueSshKey?: string | null
  /** As `isEfiPath` judges it; null: what the agent finds. */
  efiBootloaderPath?: string | null
}

/** What an operator may change of a server; what is absent stays. */
export interface ServerChange {
  /** All of them. */
  settings?: BmcSettings['settings']
  password?: Secret
  agentBoot?: AgentBoot
  /** Empty: made from what the agent finds. */
  diskGroups?: DiskGroup[]
}

export interface Servers {
  /** Names in alphabetical order. */
  list(account: string): Promise<string[]>
  /** null when there is none or it belongs to another account: the two must cost the same (one query, owner in WHERE). */
  find(account: string, serviceName: string): Promise<Server | null>
  /** Changes what belongs to the owner. False: the account has no such server. */
  change(account: string, serviceName: string, change: OwnerChange, by: Caller): Promise<boolean>
  /**
   * Tries the server's BMC first. `exists`: the name is taken. `refused`: the settings cannot work; `reason` is a sentence or two
   * without secrets.
   */
  add(
    server: NewServer,
    by: Caller,
  ): Promise<{ kind: 'added' } | { kind: 'exists' } | { kind: 'refused'; reason: string }>
  /** `busy`: a deployment is open, and on hold only the BMC's password and pin may change. */
  set(
    serviceName: string,
    change: ServerChange,
    by: Caller,
  ): Promise<
    | { kind: 'set' }
    | { kind: 'none' }
    | { kind: 'busy'; deploymentId: string }
    | { kind: 'refused'; reason: string }
  >
  /** Of all accounts, in alphabetical order; for operators. */
  listAll(): Promise<ServerDetail[]>
  show(serviceName: string): Promise<ServerDetail | null>
  /** What the server's BMC tells now; nothing is changed. null: there is no such server. */
  check(serviceName: string): Promise<ServerCheck | null>
  /** `busy`: a deployment is open. */
  remove(
    serviceName: string,
    by: Caller,
  ): Promise<{ kind: 'removed' } | { kind: 'none' } | { kind: 'busy'; deploymentId: string }>
}

export interface DeploymentEvent {
  /** Rises with every event of the deployment; the SSE `id`. Integer from 1. */
  id: number
  view: DeploymentView
}

export interface Deployments {
  /**
   * Makes the deployment durable before it returns. `conflict`: one is open (or being cancelled), named by its id.
   * `none`: the server is gone. `unknown-key`: the caller's account has no signing key of that name. `request.diskGroupId`, where not
   * null, is one of the server's.
   */
  start(
    account: string,
    serviceName: string,
    request: ByoiRequest,
    by: Caller,
  ): Promise<
    | { kind: 'started'; id: string }
    | { kind: 'conflict'; id: string }
    | { kind: 'unknown-key'; name: string }
    | { kind: 'none' }
  >
  /**
   * The server's newest deployment that was not forgotten, whatever its state. While a cancel is going on: state
   * `cancelled` with `endedAt` null. null once forgotten, or when none was ever started. `account` null: any account.
   */
  current(account: string | null, serviceName: string): Promise<DeploymentView | null>
  /** `account` null: any account (operators). */
  byId(account: string | null, id: string): Promise<DeploymentView | null>
  /**
   * DELETE: revokes the epoch, forgets the deployment, puts the server into rescue. Asking again while it is going on has
   * no second effect and succeeds. `none`: nothing to forget. `conflict`: an inspection is going on, named by its id.
   */
  forget(
    account: string,
    serviceName: string,
    by: Caller,
  ): Promise<{ kind: 'accepted' } | { kind: 'none' } | { kind: 'conflict'; id: string }>
  /**
   * Events newer than `afterEventId` (0: from the present state on, which comes at once). Ends when the deployment has ended
   * and no evidence of its boot is to be expected any more, or when `signal` aborts. Ownership has been checked by `byId`.
   */
  watch(id: string, afterEventId: number, signal: AbortSignal): AsyncIterable<DeploymentEvent>
  /** Puts the server into rescue, whatever was deployed on it. `conflict`: something is going on, named by its id. */
  rescue(
    account: string,
    serviceName: string,
    by: Caller,
  ): Promise<{ kind: 'started'; id: string } | { kind: 'conflict'; id: string } | { kind: 'none' }>
  /** The rescue that the server is in or on its way to; null when something came after it, or there was none. */
  currentRescue(account: string, serviceName: string): Promise<DeploymentView | null>
  /** Starts the agent on the server to tell what it is; nothing on its disks is changed. For operators. */
  inspect(
    serviceName: string,
    by: Caller,
  ): Promise<{ kind: 'started'; id: string } | { kind: 'conflict'; id: string } | { kind: 'none' }>
  /** `not-held`: its state is not `hold`. */
  resolveHold(
    id: string,
    decision: HoldDecision,
    by: Caller,
  ): Promise<{ kind: 'resolved' } | { kind: 'none' } | { kind: 'not-held' }>
}

export interface NewKey {
  account: string
  operator: boolean
  rules: AccessRule[]
  description: string
  /** Milliseconds from now, null: never expires. */
  expiresInMs: number | null
}

/** A key as operators see it in lists. */
export interface KeyView {
  applicationKey: string
  credentialId: number
  account: string
  operator: boolean
  rules: AccessRule[]
  description: string
  state: CredentialState
  /** RFC 3339. */
  createdAt: string
  expiresAt: string | null
}

export interface Keys {
  /** Secrets are given out this once. Application key 16, the others 32 characters of [A-Za-z0-9]. */
  create(
    key: NewKey,
    by: Caller,
  ): Promise<{ applicationKey: string; applicationSecret: Secret; consumerKey: Secret }>
  list(): Promise<KeyView[]>
  /** False when there is none. Revoking twice succeeds. */
  revoke(applicationKey: string, by: Caller): Promise<boolean>
}

/** Public keys that an account's deployments may name. */
export interface SigningKeys {
  /** In alphabetical order. */
  list(account: string): Promise<SigningKeyAnswer[]>
  /** `key`: as it was given, and read. `exists`: the name is taken. `full`: the account has `most` keys. */
  add(
    account: string,
    key: Omit<SigningKeyAnswer, 'createdAt'> & { key: string },
    by: Caller,
  ): Promise<{ kind: 'added'; key: SigningKeyAnswer } | { kind: 'exists' } | { kind: 'full'; most: number }>
  /** False when there is none. Deployments that have begun keep their keys. */
  remove(account: string, name: string, by: Caller): Promise<boolean>
}

/** What a viewer of a serial console is told. `position`: where he goes on after a break, with `after`. */
export type SerialEvent =
  | { kind: 'output'; data: Uint8Array; position: number }
  | { kind: 'missing'; bytes: number }
  | { kind: 'state'; state: SerialState; message: string | null }

export interface Serial {
  /** Whether the server has a console that byoi can use. */
  hasConsole(serviceName: string): Promise<boolean>
  /**
   * What was recorded with a deployment, from a position on (negative: counted from the end). null: nothing was, or it is no
   * longer kept. Ownership has been checked.
   */
  recording(
    deploymentId: string,
    from: number,
  ): Promise<{
    from: number
    /** Bytes, those that are not kept included. */
    total: number
    /** `missing`: bytes before `data` that are not kept. */
    parts: AsyncIterable<{ missing: number; data: Uint8Array }>
  } | null>
  /**
   * The newest bytes, or what came after a position, and then what comes, until `signal` aborts. While it is read the console is
   * kept open. Nothing is read ahead of the reader.
   */
  follow(serverId: number, after: number | null, signal: AbortSignal): AsyncIterable<SerialEvent>
  /** What types on a console; dropped where it is not open. */
  typist(server: Pick<Server, 'serverId' | 'serviceName'>, by: Caller): (input: Uint8Array) => Promise<void>
  issueTicket(
    server: Pick<Server, 'serverId' | 'serviceName'>,
    by: Caller,
    readonly: boolean,
  ): Promise<SerialTicket>
  /** A ticket is taken once. null: there is none such, or its time is over. */
  takeTicket(ticket: string): Promise<{ serviceName: string; credentialId: number; readonly: boolean } | null>
}

export interface Health {
  /** True when a request would be served now. Never throws. */
  ready(): Promise<boolean>
}
