/**
 * Where a deployment is. One list, in order, for the workflow, the agent's reports, the answers and the documents.
 * `preflight-disk` to `publish` happen in the agent and are reported; the others happen in the control plane.
 */
export const phases = [
  'accept', // P0  the request is durable
  'claim-server', // P1  the server is ours, an epoch is minted
  'preflight-bmc', // P2  the BMC answers, the power state is known
  'boot-from-agent', // P3  boot device = network or virtual CD, read back
  'power-on', // P4  power on or cycle
  'await-agent', // P5  the agent of this epoch joins
  'preflight-disk', // P6  target disk found by identity, image inspected; last phase with the old data untouched
  'write', // P7  boot areas zeroed and flushed, everything else streamed
  'verify', // P8  flush, checksum of the bytes as served, read-back
  'move-gpt', // P9  boot areas prepared: backup GPT at the end of the disk
  'config-drive', // P10 config drive partition written and read back
  'publish', // P11 permit, boot areas written, flushed, read back: the commit point is its end
  'boot-from-disk', // P12 boot device = disk, read back
  'reset', // P13 the server starts its disk
  'close', // P14 secrets wiped, status final
] as const

export type Phase = (typeof phases)[number]

/** The phases in which the agent works and reports. */
export const agentPhases = [
  'preflight-disk',
  'write',
  'verify',
  'move-gpt',
  'config-drive',
  'publish',
] as const satisfies readonly Phase[]

export type AgentPhase = (typeof agentPhases)[number]

/** 0 for `accept` to 14 for `close`. */
export const phaseNumber = (phase: Phase): number => phases.indexOf(phase)

/** What a deployment's row is about: an image, a rescue system, or what the server is. All go through the same phases. */
export const deploymentKinds = ['deploy', 'rescue', 'inspect'] as const
export type DeploymentKind = (typeof deploymentKinds)[number]

/**
 * State of a deployment's row.
 * `open`: going on. `done`: verified and published. `error`: ended with an error of the catalogue.
 * `cancelled`: forgotten by DELETE. `hold`: the physical state is unknown, an operator must look.
 */
export const deploymentStates = ['open', 'done', 'error', 'cancelled', 'hold'] as const
export type DeploymentState = (typeof deploymentStates)[number]

/** What the target disk holds. `untouched`: the old data; `unbootable`: boot areas zero; `complete`: verified and published. */
export const diskStates = ['untouched', 'unbootable', 'complete', 'unknown'] as const
export type DiskState = (typeof diskStates)[number]
