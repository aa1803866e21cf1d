import { type Static, Type } from 'typebox'
import { NetworkConfig } from './agent-boot.ts'
import { deployableTypes } from './byoi-request.types.ts'
import { errorCodes } from './errors.ts'
import { agentPhases, diskStates } from './phases.ts'

/**
 * What the agent and the control plane say to each other, over HTTPS, the agent calling out.
 *
 *   POST /agent/v1/join    boot secret + public key     -> lease of this epoch
 *   POST /agent/v1/order   (signed)                     -> what to do
 *   POST /agent/v1/report  (signed)                     -> heard
 *   POST /agent/v1/permit  (signed)                     -> may publish this epoch
 *
 * Answers: 200; 409 `try again later` (with Retry-After); 401 not the agent of this lease; 410 the epoch is over: stop,
 * write nothing more, power off; 426 the agent's release is too old.
 *
 * A signed message carries three headers: `X-Byoi-Lease`; `X-Byoi-Sequence`, a decimal number that rises with every new
 * message of the lease (a repeat of a message keeps its number and is answered again, without a second effect);
 * `X-Byoi-Signature`, base64 of Ed25519 by the key given at join over `signedText(...)`.
 */
export const agentProtocolVersion = 3

export const agentPaths = {
  join: '/agent/v1/join',
  order: '/agent/v1/order',
  report: '/agent/v1/report',
  permit: '/agent/v1/permit',
} as const

/** The text that a signed agent message's signature covers (UTF-8). `bodySha256` in lower-case hex. */
export const signedText = (path: string, lease: string, sequence: number, bodySha256: string): string =>
  `byoi-agent-v1\nPOST\n${path}\n${lease}\n${sequence}\n${bodySha256}`

/** The text that the join's proof signs: possession of the key, bound to the boot secret's hash and the epoch. */
export const joinText = (server: string, epoch: number, bootSecretSha256: string): string =>
  `byoi-agent-join-v1\n${server}\n${epoch}\n${bootSecretSha256}`

const bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const closed = { additionalProperties: false }

/** A disk as the agent finds it. Sizes in bytes. */
export const DiskFacts = Type.Object(
  {
    /** Where the agent opens it: a device or file path. */
    path: Type.String(),
    serial: Type.String(),
    wwn: Type.Union([Type.String(), Type.Null()]),
    size: bytes,
    sectorSize: Type.Union([Type.Literal(512), Type.Literal(4096)]),
    rotational: Type.Union([Type.Boolean(), Type.Null()]),
    /** nvme, sata, sas, virtio, file ... */
    transport: Type.String(),
  },
  closed,
)
export type DiskFacts = Static<typeof DiskFacts>

const text = (maxLength: number) => Type.String({ maxLength })

/** A network port as the agent finds it. */
export const NicFacts = Type.Object(
  {
    name: text(32),
    /** Lower case, colons. */
    mac: text(32),
    driver: text(64),
    carrier: Type.Boolean(),
    /** Mbit/s; null where it is not known. */
    speed: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  },
  closed,
)
export type NicFacts = Static<typeof NicFacts>

/** The server as the agent finds it. */
export const MachineFacts = Type.Object(
  {
    /** What the firmware says of itself (SMBIOS); '' where it says nothing. */
    vendor: text(128),
    model: text(128),
    serial: text(128),
    /** How the agent was started: by which firmware, and whether Secure Boot was on. */
    firmware: Type.Union([Type.Literal('uefi'), Type.Literal('legacy')]),
    secureBoot: Type.Boolean(),
    /** Bytes of RAM. */
    memory: bytes,
    /** Threads that the kernel schedules on. */
    cpus: Type.Integer({ minimum: 1 }),
    nics: Type.Array(NicFacts, { maxItems: 64 }),
  },
  closed,
)
export type MachineFacts = Static<typeof MachineFacts>

export const JoinRequest = Type.Object(
  {
    protocol: Type.Integer(),
    release: Type.String({ maxLength: 64 }),
    server: Type.String({ maxLength: 253 }),
    epoch: Type.Integer({ minimum: 1 }),
    /** The one-time boot secret, base64url of 32 bytes. */
    secret: Type.String({ maxLength: 64 }),
    /** Ed25519 public key, base64 of the 32 raw bytes. */
    publicKey: Type.String({ maxLength: 64 }),
    /** base64 of the Ed25519 signature over `joinText`. */
    proof: Type.String({ maxLength: 128 }),
    disks: Type.Array(DiskFacts, { maxItems: 256 }),
    /** null from the agent of a file-backed server. */
    machine: Type.Union([MachineFacts, Type.Null()]),
  },
  closed,
)
export type JoinRequest = Static<typeof JoinRequest>

export const JoinAnswer = Type.Object({
  lease: Type.String(),
  epoch: Type.Integer(),
  /** Longest time between two reports before the control plane takes the agent for dead, in ms. */
  leaseMs: Type.Integer(),
  /** How often to report while working, in ms. */
  reportEveryMs: Type.Integer(),
})
export type JoinAnswer = Static<typeof JoinAnswer>

const KeyValue = Type.Object({ key: Type.String(), value: Type.String() }, closed)

/** Which addresses the agent may fetch from. Loopback, link-local, multicast and such are denied unless allowed by name. */
export const AddressPolicy = Type.Object(
  {
    /** CIDR blocks that are allowed although they are loopback or private, e.g. `127.0.0.0/8`. */
    allow: Type.Array(Type.String()),
    /** CIDR blocks that are denied beside the built-in ones; deny wins over allow. */
    deny: Type.Array(Type.String()),
    /** RFC 1918 and ULA addresses allowed. */
    allowPrivate: Type.Boolean(),
    /** Ports that are never fetched from. */
    denyPorts: Type.Array(Type.Integer({ minimum: 0, maximum: 65535 })),
  },
  closed,
)
export type AddressPolicy = Static<typeof AddressPolicy>

export const ConfigDriveContent = Type.Object(
  {
    /** cloud-init's instance id: the deployment's id, new each time. */
    instanceId: Type.String(),
    hostname: Type.Union([Type.String(), Type.Null()]),
    sshKey: Type.Union([Type.String(), Type.Null()]),
    /** Kept byte for byte; base64 here, decoded by the agent. */
    userDataBase64: Type.Union([Type.String(), Type.Null()]),
    userMetadatas: Type.Array(KeyValue),
    /** Where cloud-init tells that the system has booted (`phone_home`), given as vendor data; null: it does not. */
    phoneHomeUrl: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
)
export type ConfigDriveContent = Static<typeof ConfigDriveContent>

/** Of minisign or OpenPGP, as text. */
const PublicKeys = Type.Array(Type.String())

/** A disk by what it is, never by its name. */
const DiskIdentity = Type.Object(
  { serial: Type.String(), wwn: Type.Union([Type.String(), Type.Null()]), size: bytes },
  closed,
)

export const DeployOrder = Type.Object(
  {
    kind: Type.Literal('deploy'),
    deploymentId: Type.String(),
    epoch: Type.Integer(),
    image: Type.Object(
      {
        url: Type.String(),
        type: Type.Enum([...deployableTypes]),
        httpHeader: Type.Array(KeyValue),
        checkSum: Type.Union([
          Type.Object({ type: Type.String(), value: Type.String() }, closed),
          Type.Null(),
        ]),
        /** Where the checksum is listed; `checkSum` is null then. */
        sums: Type.Union([
          Type.Object(
            {
              url: Type.String(),
              /** The image's name in it; null: the last part of its URL. */
              name: Type.Union([Type.String(), Type.Null()]),
              /** Empty: it is believed as it is served. Else one of them must have signed it. */
              keys: PublicKeys,
              /** Null: it is clear-signed where there are keys. */
              signatureUrl: Type.Union([Type.String(), Type.Null()]),
            },
            closed,
          ),
          Type.Null(),
        ]),
        /** Over the image as served. */
        signature: Type.Union([Type.Object({ url: Type.String(), keys: PublicKeys }, closed), Type.Null()]),
      },
      closed,
    ),
    disk: DiskIdentity,
    /** Disks that get the same as `disk`. */
    mirrors: Type.Array(DiskIdentity),
    boot: Type.Union([Type.Literal('uefi'), Type.Literal('legacy')]),
    /** Loader on the EFI system partition, as `\\\\efi\\\\debian\\\\grubx64.efi`; null: the one that is found there. */
    efiBootloaderPath: Type.Union([Type.String({ maxLength: 255 }), Type.Null()]),
    configDrive: Type.Union([ConfigDriveContent, Type.Null()]),
    /** The last partition is to reach to the end of the disk, in its table. */
    growLastPartition: Type.Boolean(),
    addressPolicy: AddressPolicy,
    /** RAM that the agent may use to hold image data whose place is not known yet, in bytes. */
    spoolBytes: bytes,
  },
  closed,
)
export type DeployOrder = Static<typeof DeployOrder>

export const RescueOrder = Type.Object(
  {
    kind: Type.Literal('rescue'),
    deploymentId: Type.String(),
    epoch: Type.Integer(),
    sshKey: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
)
export type RescueOrder = Static<typeof RescueOrder>

/** Tell what the server is; nothing on it is changed. */
export const InspectOrder = Type.Object(
  { kind: Type.Literal('inspect'), deploymentId: Type.String(), epoch: Type.Integer() },
  closed,
)
export type InspectOrder = Static<typeof InspectOrder>

export const Order = Type.Union([DeployOrder, RescueOrder, InspectOrder])
export type Order = Static<typeof Order>

/** Bytes of the image as served; `perSecond` is a moving average. */
export const Progress = Type.Object(
  {
    phase: Type.Enum([...agentPhases]),
    bytesDone: bytes,
    /** null when the image server gives no length. */
    bytesTotal: Type.Union([bytes, Type.Null()]),
    bytesPerSecond: bytes,
    /** Seconds to the end of this phase, null when it cannot be known. */
    secondsLeft: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  },
  closed,
)
export type Progress = Static<typeof Progress>

export const AgentFailure = Type.Object(
  {
    code: Type.Enum([...errorCodes]),
    message: Type.String({ maxLength: 4096 }),
    cause: Type.String({ maxLength: 4096 }),
    remedy: Type.String({ maxLength: 4096 }),
    disk: Type.Enum([...diskStates]),
  },
  closed,
)
export type AgentFailure = Static<typeof AgentFailure>

export const DeployResult = Type.Object(
  {
    /** Digest of the bytes as served, lower-case hex, by the type asked for (sha256 when none was). */
    checkSum: Type.String(),
    checkSumType: Type.String(),
    bytesServed: bytes,
    virtualSize: bytes,
    written: bytes,
    seconds: Type.Number({ minimum: 0 }),
    notes: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 64 }),
  },
  closed,
)
export type DeployResult = Static<typeof DeployResult>

/** One report. `outcome` null while working; a final outcome is repeated until heard. */
export const Report = Type.Object(
  {
    epoch: Type.Integer({ minimum: 1 }),
    progress: Type.Union([Progress, Type.Null()]),
    log: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 100 }),
    outcome: Type.Union([
      Type.Null(),
      Type.Object({ kind: Type.Literal('published'), result: DeployResult }, closed),
      Type.Object({ kind: Type.Literal('failed'), failure: AgentFailure }, closed),
      /**
       * The rescue system is up. `hostKeys`: its SSH host keys (public key lines), empty where it has no SSH; `addresses`: where
       * it listens.
       */
      Type.Object(
        {
          kind: Type.Literal('rescue'),
          hostKeys: Type.Array(text(1024), { maxItems: 8 }),
          addresses: Type.Array(text(64), { maxItems: 16 }),
        },
        closed,
      ),
      /** The facts were told by the join; `findings` are what an operator should know beside them. */
      Type.Object(
        { kind: Type.Literal('inspected'), findings: Type.Array(text(1024), { maxItems: 64 }) },
        closed,
      ),
    ]),
  },
  closed,
)
export type Report = Static<typeof Report>

export const ReportAnswer = Type.Object({ heard: Type.Integer() })
export type ReportAnswer = Static<typeof ReportAnswer>

export const PermitRequest = Type.Object({ epoch: Type.Integer({ minimum: 1 }) }, closed)
export type PermitRequest = Static<typeof PermitRequest>

/** What a server's boot medium carries to the agent: where to call, whom to trust, and the one-time boot secret. */
export const BootMedium = Type.Object(
  {
    controlUrl: Type.String(),
    /** The control plane's CA, PEM. Nothing else is trusted for the control plane. */
    caPem: Type.String(),
    server: Type.String(),
    epoch: Type.Integer({ minimum: 1 }),
    secret: Type.String(),
    /** UNIX seconds when the medium was made: a server whose clock is far off begins with this time. */
    time: Type.Integer(),
    /** null: DHCP and SLAAC on the first port with a carrier. */
    network: Type.Union([NetworkConfig, Type.Null()]),
  },
  closed,
)
export type BootMedium = Static<typeof BootMedium>
