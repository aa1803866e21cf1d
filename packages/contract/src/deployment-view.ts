import { type Static, Type } from 'typebox'
import { errorCodes } from './errors.ts'
import { deploymentKinds, deploymentStates, diskStates, phases } from './phases.ts'

const nullable = <T extends import('typebox').TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const bootEvidence = ['phone-home', 'login-prompt'] as const
export type BootEvidence = (typeof bootEvidence)[number]

/** Answer of `GET /byoi/deployment/{id}` and `GET /byoi/server/{serviceName}/deployment`; data of each server-sent event. */
export const DeploymentView = Type.Object({
  id: Type.String(),
  serviceName: Type.String(),
  kind: Type.Enum([...deploymentKinds]),
  state: Type.Enum([...deploymentStates]),
  phase: Type.Enum([...phases]),
  epoch: Type.Integer(),
  description: nullable(Type.String()),
  image: nullable(Type.Object({ url: Type.String(), type: Type.String() })),
  /** Progress in bytes of the image as served. */
  bytesDone: Type.Integer(),
  bytesTotal: nullable(Type.Integer()),
  bytesPerSecond: Type.Integer(),
  secondsLeft: nullable(Type.Integer()),
  /** 0 to 100, null while it cannot be known. */
  percent: nullable(Type.Number()),
  disk: Type.Enum([...diskStates]),
  checksum: nullable(Type.String()),
  error: nullable(
    Type.Object({
      code: Type.Enum([...errorCodes]),
      message: Type.String(),
      cause: Type.String(),
      remedy: Type.String(),
    }),
  ),
  /** What an operator should look at, while state is `hold`. */
  hold: nullable(Type.String()),
  steps: Type.Array(
    Type.Object({
      phase: Type.Enum([...phases]),
      startedAt: Type.String(),
      endedAt: nullable(Type.String()),
    }),
  ),
  /** Evidence that the system on the disk came up after `done`: it phoned home, or its console showed a login prompt. */
  booted: nullable(Type.Object({ at: Type.String(), by: Type.Enum([...bootEvidence]) })),
  /** How to reach the rescue system, once it is up. */
  rescue: nullable(
    Type.Object({ hostKeys: Type.Array(Type.String()), addresses: Type.Array(Type.String()) }),
  ),
  notes: Type.Array(Type.String()),
  log: Type.Array(Type.String()),
  createdAt: Type.String(),
  updatedAt: Type.String(),
  endedAt: nullable(Type.String()),
})
export type DeploymentView = Static<typeof DeploymentView>
