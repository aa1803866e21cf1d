import { type AddressPolicy } from '@byoi/contract'

/** Times and budgets of the workflow. All times in ms. */
export interface WorkflowSettings {
  /** An agent that is silent for longer may be dead: the power is read. */
  leaseMs: number
  reportEveryMs: number
  /** The same as the lease, for servers whose power reading cannot be wrong or stale (file-backed ones). */
  localLeaseMs: number
  /** File-backed servers cost little to hear, and work on small disks: their progress is seen sooner. */
  localReportEveryMs: number
  /** From power-on to the agent's join. */
  bootTimeoutMs: number
  bootSecretMs: number
  /** An agent that is silent for longer on a server that is on is given up. */
  lostAgentMs: number
  /** From POST to the end, whatever happens. */
  deadlineMs: number
  /** How long DELETE waits for the end of a publish that has its permit. */
  cancelWaitMs: number
  /** One command to a BMC, with the reading back of what it did. */
  bmcTimeoutMs: number
  /** One question to a BMC for `server check`. */
  checkTimeoutMs: number
  /** How long an operator's question waits until the workflow leaves a server's BMC. */
  bmcLockWaitMs: number
  /** Between two readings of the power that must agree before off is believed. */
  readingsApartMs: number
  /** Waits between the tries of a step whose BMC failed; when they are used up the step has failed. */
  retryMs: readonly number[]
  /** Starts of the agent in one deployment. Generous, because each one that makes progress is legitimate. */
  maxEpochs: number
  /** Agents in a row that joined and were gone without having written anything. */
  maxJoinsWithoutProgress: number
  /** Servers in a row that went off before their agent joined. */
  maxStartsWithoutJoin: number
  /** Servers in a row that stayed on without an agent: they boot something else. */
  maxLateBoots: number
  /** How long a server's serial console is recorded after the end of its deployment. */
  consoleAfterMs: number
  /** How long what a serial console showed is kept. */
  consoleKeepMs: number
  /** Deployed systems with a config drive are asked to phone home, at the provisioning listener. */
  phoneHome: boolean
  addressPolicy: AddressPolicy
  /** RAM of the agent for image data whose place is not known yet, in bytes. */
  spoolBytes: number
}

const minute = 60_000

export const defaultSettings: WorkflowSettings = {
  leaseMs: 30_000,
  reportEveryMs: 1000,
  localLeaseMs: 3000,
  localReportEveryMs: 250,
  bootTimeoutMs: 10 * minute,
  bootSecretMs: 15 * minute,
  lostAgentMs: 30 * minute,
  deadlineMs: 24 * 60 * minute,
  cancelWaitMs: 30_000,
  bmcTimeoutMs: 3 * minute,
  checkTimeoutMs: minute,
  bmcLockWaitMs: 15_000,
  readingsApartMs: 2000,
  retryMs: [1000, 2000, 4000, 8000, 15_000, 30_000],
  maxEpochs: 50,
  maxJoinsWithoutProgress: 3,
  maxStartsWithoutJoin: 5,
  maxLateBoots: 2,
  consoleAfterMs: 10 * minute,
  consoleKeepMs: 30 * 24 * 60 * minute,
  phoneHome: false,
  addressPolicy: { allow: [], deny: [], allowPrivate: true, denyPorts: [] },
  spoolBytes: 256 * 1024 * 1024,
}
