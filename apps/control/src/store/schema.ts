import { type BootDevice, type PowerState } from '@byoi/bmc'
import {
  type AccessRule,
  type AgentBoot,
  type AgentFailure,
  type BootEvidence,
  type DeploymentKind,
  type DeploymentState,
  type DiskFacts,
  type DiskState,
  type DeployableType,
  type MachineFacts,
  type Phase,
  type SerialState,
  type ServerIdentity,
  type SignedThing,
  type SigningKeyAnswer,
} from '@byoi/contract'
import { type ColumnType, type Generated } from 'kysely'
import { type DiskGroup } from '../http/ports.ts'

/** The tables, as `migrations/` makes them. A test compares the columns with those of a real database. */
export interface Database {
  account: AccountTable
  application: ApplicationTable
  credential: CredentialTable
  server: ServerTable
  deployment: DeploymentTable
  boot_secret: BootSecretTable
  agent_session: AgentSessionTable
  audit: AuditTable
  replay: ReplayTable
  serial_recording: SerialRecordingTable
  serial_output: SerialOutputTable
  serial_console: SerialConsoleTable
  serial_viewer: SerialViewerTable
  serial_ticket: SerialTicketTable
  signing_key: SigningKeyTable
}

type Json<T> = ColumnType<T, string, string>
/** With a default: JSON's null. */
type JsonOrNull<T> = ColumnType<T, string | undefined, string>
/** bigint; the pool reads it as a number: all of ours stay below 2^53. */
type Big = number

interface AccountTable {
  name: string
  created_at: Generated<Date>
}

interface ApplicationTable {
  id: Generated<number>
  application_key: string
  /** Sealed by the master key. */
  application_secret: Buffer
}

interface CredentialTable {
  id: Generated<number>
  application_id: number
  /** SHA-256 of the consumer key in hex: the key itself is never needed again. */
  consumer_key_hash: string
  account: string
  operator: boolean
  rules: Json<AccessRule[]>
  description: string
  created_at: Generated<Date>
  expires_at: Date | null
  revoked_at: Date | null
}

interface ServerTable {
  id: Generated<number>
  service_name: string
  account: string
  boot: 'uefi' | 'legacy'
  bmc_kind: string
  bmc_settings: Json<Record<string, string | number | boolean>>
  /** Sealed by the master key. */
  bmc_password: Buffer | null
  /** What the BMC said of itself when it was enrolled or its settings were changed. */
  bmc_identity: JsonOrNull<ServerIdentity | null>
  disk_groups: Json<DiskGroup[]>
  /** Number of the newest agent's start; older agents are refused. */
  epoch: Generated<Big>
  power_state: 'on' | 'off' | null
  own_image: Generated<boolean>
  /** null for a file-backed server. */
  agent_boot: JsonOrNull<AgentBoot | null>
  /** What the agent found when it last started. */
  found: JsonOrNull<Found | null>
  /** OVHcloud's properties of the same names, set by the server's owner. */
  rescue_ssh_key: string | null
  efi_bootloader_path: string | null
  created_at: Generated<Date>
}

/** `at`: RFC 3339. */
export interface Found {
  at: string
  machine: MachineFacts | null
  disks: DiskFacts[]
}

/** What POST asked for, without anything secret. */
export interface StoredRequest {
  url: string
  type: DeployableType
  checkSum: { type: string; value: string } | null
  /** Absent in rows of older releases, as what follows. */
  sums?: { url: string; name: string | null } | null
  signature?: { url: string; of: SignedThing } | null
  keyNames?: string[]
  growLastPartition?: boolean
  disks?: string[]
  description: string | null
  diskGroupId: number | null
}

/** What is known about this deployment's own acts, so that a repeat after a crash can tell what happened. */
export interface Evidence {
  /** Power was off after the boot secret of this epoch was minted: no earlier system can have read it. */
  wasOff?: number
  /** Epochs in which an act on the power was intended. The intent is stored before the act. */
  offIntent?: number
  onIntent?: number
  /** The same for the reset onto the disk, by epoch. */
  resetOff?: number
  resetOn?: number
  /** Some power action of this deployment may have happened. */
  powerTouched?: boolean
  /** The boot device before this deployment set it; null: none was set. */
  bootWas?: BootDevice | null
  /** The power before this deployment touched it. */
  powerWas?: PowerState
  /** The agent of this epoch has got its permit. */
  permit?: number
  /** The deployed system has phoned home; it is heard once. */
  phonedHome?: boolean
  /** The boot medium of this epoch was asked for again after it had been given out. */
  mediumAlarm?: number
}

/** How often the deployment began again, for the budgets of restarts. */
export interface Attempts {
  epochs: number
  /** In a row, without progress: the agent joined, then was gone. */
  joined: number
  /** In a row: the server was off before its agent joined. */
  unjoined: number
  /** In a row: the server stayed on and no agent joined in time. */
  late: number
}

export interface StepTime {
  phase: Phase
  epoch: number
  startedAt: string
  endedAt: string | null
}

interface DeploymentTable {
  id: string
  server_id: number
  service_name: string
  account: string
  kind: DeploymentKind
  state: DeploymentState
  phase: Phase
  epoch: Big
  /** null for a rescue and an inspection. */
  request: Json<StoredRequest | null>
  /** Sealed by the deployment's own key, which is sealed by the master key; both null once the deployment has ended. */
  secrets: Buffer | null
  secrets_key: Buffer | null
  evidence: Json<Evidence>
  attempts: Json<Attempts>
  /** Failed tries of the present step, in a row. */
  tries: Generated<number>
  bytes_done: Generated<Big>
  bytes_total: Big | null
  bytes_per_second: Generated<Big>
  seconds_left: Big | null
  /** The agent of the present epoch has written bytes of the image. */
  progressed: Generated<boolean>
  disk: Generated<DiskState>
  checksum: string | null
  failure: Json<Omit<AgentFailure, 'disk'> | null>
  hold: string | null
  /** Evidence that the deployed system came up. */
  booted: JsonOrNull<{ at: string; by: BootEvidence } | null>
  /** How to reach the rescue system. */
  rescue: JsonOrNull<{ hostKeys: string[]; addresses: string[] } | null>
  /** SHA-256 in hex of the one-time word with which the deployed system phones home. */
  phone_home_hash: string | null
  steps: Json<StepTime[]>
  notes: Json<string[]>
  log: Json<string[]>
  /** DELETE came while the agent was publishing: cancelled at this time at the latest. */
  cancel_at: Date | null
  /** Rescue: the cancelled deployment whose end this is. */
  cancels: string | null
  /** Not shown as the server's current deployment any more. */
  forgotten: Generated<boolean>
  /** When to look at it again if nothing happens before. */
  due: Date | null
  /** When to give up. */
  deadline: Date
  /** Rises with every change that can be seen. */
  version: Generated<Big>
  agent_seen_at: Date | null
  created_at: Generated<Date>
  updated_at: Generated<Date>
  ended_at: Date | null
}

interface BootSecretTable {
  server_id: number
  epoch: Big
  deployment_id: string
  /** SHA-256 in hex. */
  hash: string
  /** Sealed by the deployment's key, until the agent joins: a crash before the medium was inserted can repeat that. */
  secret: Buffer | null
  expires_at: Date
  used_at: Date | null
  /** SHA-256 in hex of the word in the URLs under which the boot medium can be fetched. */
  token_hash: string | null
  /** When it was fetched; it is given out once. */
  fetched_at: Date | null
  /** Address of who fetched it: a virtual CD goes on being read by the same one until the agent joins. */
  fetched_by: string | null
}

interface AgentSessionTable {
  lease: string
  server_id: number
  epoch: Big
  deployment_id: string
  /** Ed25519, 32 bytes. */
  public_key: Buffer
  disks: Json<DiskFacts[]>
  /** The newest message, by its number and the SHA-256 of its signed text. */
  sequence: Generated<Big>
  last_message: string | null
  created_at: Generated<Date>
}

export interface AuditTable {
  id: Big
  at: Date
  /** Key, account and address of a caller; `agent`, or `workflow`. */
  actor: string
  action: string
  service_name: string | null
  deployment_id: string | null
  epoch: Big | null
  detail: Json<Record<string, unknown>>
  previous_hash: string
  hash: string
}

interface ReplayTable {
  signature_hash: string
  expires_at: Date
}

interface SerialRecordingTable {
  id: Generated<Big>
  server_id: number
  /** null: what the server's console shows outside of deployments. */
  deployment_id: string | null
  /** That were shown so far; not all of them are kept. */
  bytes: Big
  /** Position from which on the system on the disk can have written it. */
  reset_at: Big | null
  written_at: Generated<Date>
}

interface SerialOutputTable {
  id: Generated<Big>
  recording_id: Big
  server_id: number
  /** Of the first byte, counted from the beginning of the recording. What is missing between rows was not kept. */
  position: Big
  at: Generated<Date>
  data: Buffer
}

interface SerialConsoleTable {
  server_id: number
  state: SerialState
  message: string | null
}

interface SerialViewerTable {
  id: string
  server_id: number
  seen_at: Generated<Date>
}

interface SerialTicketTable {
  /** SHA-256 in hex. */
  hash: string
  server_id: number
  credential_id: number
  readonly: boolean
  expires_at: Date
}

/** Public keys. */
interface SigningKeyTable {
  account: string
  name: string
  format: SigningKeyAnswer['format']
  ids: Json<string[]>
  /** As it was given. */
  key: string
  created_at: Generated<Date>
}
