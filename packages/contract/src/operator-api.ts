import { type Static, type TSchema, Type } from 'typebox'
import { type DiskFacts, type MachineFacts } from './agent-protocol.ts'
import { ruleMethods } from './access-rules.ts'
import { AgentBoot } from './agent-boot.ts'
import { signingKeyNamePattern } from './byoi-request.types.ts'

const closed = { additionalProperties: false }
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** An account name: the tenant that servers and keys belong to. */
export const accountPattern = '^[a-z0-9][a-z0-9._-]{0,63}$'
/** A server's name. It is also checked to be a host name (RFC 1123). */
export const serviceNamePattern = '^[a-z0-9.-]{1,253}$'
const printable = String.raw`^[\x20-\x7e]*$`

/** An operator's decision on a hold. `continue`: look again, there is evidence now; `fail`: give up, end in error. */
export const holdDecisions = ['continue', 'fail'] as const
export type HoldDecision = (typeof holdDecisions)[number]

/** Body of `POST /byoi/deployment/{id}/resolve`. */
export const ResolveBody = Type.Object({ decision: Type.Enum([...holdDecisions]) }, closed)
export type ResolveBody = Static<typeof ResolveBody>

export const DiskBody = Type.Object(
  {
    serial: Type.String({ minLength: 1, maxLength: 128, pattern: printable }),
    wwn: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 64, pattern: printable }))),
    /** Bytes. */
    size: Type.Integer({ minimum: 1024 * 1024, maximum: Number.MAX_SAFE_INTEGER }),
  },
  closed,
)

export const DiskGroupBody = Type.Object(
  {
    diskGroupId: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
    description: Type.Optional(Type.String({ maxLength: 256, pattern: printable })),
    disks: Type.Array(DiskBody, { minItems: 1, maxItems: 64 }),
  },
  closed,
)

const BmcSettings = Type.Record(
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]{0,63}$' }),
  Type.Union([Type.String({ maxLength: 4096 }), Type.Number(), Type.Boolean()]),
  { maxProperties: 64 },
)
const BmcPassword = Type.String({ minLength: 1, maxLength: 256 })
const DiskGroups = Type.Array(DiskGroupBody, { maxItems: 64 })

/** Body of `POST /byoi/server`. What `bmc.settings` must hold depends on `bmc.kind`. */
export const NewServerBody = Type.Object(
  {
    serviceName: Type.String({ pattern: serviceNamePattern }),
    account: Type.String({ pattern: accountPattern }),
    boot: Type.Enum(['uefi', 'legacy']),
    /** Empty: made from what the agent finds at the server's first start from the network or its virtual CD. */
    diskGroups: DiskGroups,
    /** Absent or null for a file-backed server only. */
    agentBoot: Type.Optional(nullable(AgentBoot)),
    bmc: Type.Object(
      {
        kind: Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }),
        settings: BmcSettings,
        password: Type.Optional(nullable(BmcPassword)),
      },
      closed,
    ),
  },
  closed,
)
export type NewServerBody = Static<typeof NewServerBody>

/**
 * Body of `PUT /byoi/server/{serviceName}`; what is absent stays as it is. While a deployment is on hold only the BMC's password and
 * pin may change, while one is open nothing.
 */
export const ServerChangeBody = Type.Object(
  {
    bmc: Type.Optional(
      Type.Object(
        {
          /** All settings as they are to be, those that stay included. */
          settings: Type.Optional(BmcSettings),
          password: Type.Optional(BmcPassword),
        },
        closed,
      ),
    ),
    agentBoot: Type.Optional(AgentBoot),
    /** Empty: made from what the agent finds. */
    diskGroups: Type.Optional(DiskGroups),
  },
  closed,
)
export type ServerChangeBody = Static<typeof ServerChangeBody>

/** What a BMC says that it and its server are; null where it does not say. */
export interface ServerIdentity {
  vendor: string | null
  model: string | null
  /** Release of the BMC's firmware. */
  firmware: string | null
  /** Serial number of the server. */
  serial: string | null
}

/** Element of `GET /byoi/server` and answer of `GET /byoi/server/{serviceName}`; for operators. */
export interface ServerAnswer {
  serverId: number
  serviceName: string
  account: string
  boot: 'uefi' | 'legacy'
  powerState: 'poweron' | 'poweroff' | null
  diskGroups: {
    diskGroupId: number
    description: string
    size: number
    disks: { serial: string; wwn: string | null; size: number }[]
  }[]
  ownImage: boolean
  /** Set by the server's owner, see OVHcloud's properties of the same names. */
  rescueSshKey: string | null
  efiBootloaderPath: string | null
  createdAt: string
  /** `identity`: when the server was added or its BMC's settings were changed last. */
  bmc: {
    kind: string
    settings: Record<string, string | number | boolean>
    identity: ServerIdentity | null
  }
  agentBoot: AgentBoot | null
  /** What the agent found when it last started on the server; null while it never has. */
  found: { at: string; machine: MachineFacts | null; disks: DiskFacts[] } | null
}

/** Answer of `POST /byoi/server/{serviceName}/check`: what its BMC tells now. null: it could not be read, or is not set. */
export interface ServerCheck {
  identity: ServerIdentity | null
  power: 'on' | 'off' | null
  bootDevice: 'disk' | 'network' | 'cd' | null
  /** One sentence or two each; empty: the server can be deployed to. */
  problems: string[]
}

/** Answer of what starts an agent beside a deployment (`POST .../inspect`, `POST .../rescue`): `GET /byoi/deployment/{id}` follows it. */
export interface StartedAnswer {
  id: string
}

/** Answer of `GET /byoi/netboot`: what the boot of real servers needs to know of this control plane. URLs without a slash at the end. */
export interface NetbootAnswer {
  /** Where servers fetch what they boot. */
  provisioningUrl: string
  /** Where BMCs fetch virtual CDs. */
  mediaUrl: string
  /** Where the agents of real servers call. */
  agentUrl: string
  /** Directory of what `byoi ramdisk build` made, on the control plane's machine. */
  ramdisk: string
}

/** Body of `POST /byoi/key`. `path` of a rule: see `isRulePath`. */
export const NewKeyBody = Type.Object(
  {
    account: Type.String({ pattern: accountPattern }),
    operator: Type.Optional(Type.Boolean()),
    rules: Type.Array(
      Type.Object(
        {
          method: Type.Enum([...ruleMethods]),
          path: Type.String({ pattern: String.raw`^/[\x21-\x7e]{0,511}$` }),
        },
        closed,
      ),
      { minItems: 1, maxItems: 64 },
    ),
    description: Type.Optional(Type.String({ maxLength: 256 })),
    /** Seconds from now; absent or null: never expires. */
    expiresIn: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: 3_153_600_000 }))),
  },
  closed,
)
export type NewKeyBody = Static<typeof NewKeyBody>

/** Answer of `POST /byoi/key`: the only time that the secrets are shown. */
export interface NewKeyAnswer {
  applicationKey: string
  applicationSecret: string
  consumerKey: string
}

/** Element of `GET /byoi/key`. */
export interface KeyAnswer {
  applicationKey: string
  credentialId: number
  account: string
  operator: boolean
  rules: { method: string; path: string }[]
  description: string
  state: 'validated' | 'expired' | 'revoked'
  createdAt: string
  expiresAt: string | null
}

/** What may be given as one signing key, in characters: a ring of OpenPGP keys with many certifications has room. */
const longestSigningKey = 64 * 1024

/** Body of `POST /byoi/signingKey`. `key`: a public key of minisign or OpenPGP, as text. */
export const NewSigningKeyBody = Type.Object(
  {
    name: Type.String({ pattern: signingKeyNamePattern }),
    key: Type.String({ minLength: 1, maxLength: longestSigningKey }),
  },
  closed,
)
export type NewSigningKeyBody = Static<typeof NewSigningKeyBody>

/** Answer of `POST /byoi/signingKey` and element of `GET /byoi/signingKey`. */
export interface SigningKeyAnswer {
  name: string
  format: 'minisign' | 'openpgp'
  /** Key ids, of subkeys too, in upper-case hex: what a signature names its key by. */
  ids: string[]
  /** RFC 3339. */
  createdAt: string
}
