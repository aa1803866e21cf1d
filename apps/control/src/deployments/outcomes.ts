import { type AgentFailure, type DiskState, errorMessage, type ErrorCode, phaseNumber } from '@byoi/contract'
import { type Attempts } from '../store/schema.ts'
import { type Change } from './transition.ts'
import { type DeploymentRow, type WorkflowContext } from './workflow-context.ts'

export const noAttempts: Attempts = { epochs: 0, joined: 0, unjoined: 0, late: 0 }

/** What can be said of the disk when the agent of this row is gone: it may have done more than it could report. */
export function diskWithoutAgent(row: DeploymentRow): DiskState {
  const mayHaveWritten = phaseNumber(row.phase) >= phaseNumber('preflight-disk')
  return row.disk === 'untouched' && mayHaveWritten ? 'unknown' : row.disk
}

/**
 * A deployment that cannot go on: the server is turned off and then it ends in this error. A rescue that cannot go on is held:
 * its owner was promised a rescue, and an operator must see to it.
 */
export function failing(
  row: DeploymentRow,
  failure: { code: ErrorCode; cause: string; remedy: string; message?: string; disk?: DiskState },
  actor = 'workflow',
): Change {
  if (row.kind === 'rescue')
    return holding(`The server could not be put into rescue. ${failure.cause}`, actor)
  const { code, cause, remedy, message = errorMessage(code), disk = diskWithoutAgent(row) } = failure
  const stored: Omit<AgentFailure, 'disk'> = { code, message, cause, remedy }
  return {
    set: { failure: JSON.stringify(stored), disk, tries: 0 },
    look: 'now',
    action: 'deployment.fail',
    actor,
    detail: { code, cause },
  }
}

/** Nothing is done until an operator has looked. `text`: what to look at. */
export const holding = (text: string, actor = 'workflow'): Change => ({
  state: 'hold',
  set: { hold: text },
  look: 'never',
  action: 'deployment.hold',
  actor,
  detail: { hold: text },
})

/** How the agent of the present epoch was lost. `alarm`: it was not, but another one used its boot secret. */
export type Loss = 'joined' | 'unjoined' | 'late' | 'alarm'

const reasons: Record<Loss, string> = {
  joined: 'the server went off while its agent worked',
  unjoined: 'the server went off before its agent joined',
  late: 'the server is on but its agent did not join',
  alarm: 'a second agent tried to join',
}

/**
 * Begins again with a new epoch, or fails when the budget is used up. An epoch makes progress when its agent has written
 * bytes of the image; only epochs in a row without progress count, so that a server that is cut off now and then still
 * gets there, and a reboot loop ends.
 */
export function restart({ settings }: WorkflowContext, row: DeploymentRow, loss: Loss): Change {
  const counted: Attempts = row.progressed
    ? { ...noAttempts, epochs: row.attempts.epochs }
    : { ...row.attempts, ...(loss === 'alarm' ? {} : { [loss]: row.attempts[loss] + 1 }) }
  const disk = diskWithoutAgent(row)
  if (counted.late >= settings.maxLateBoots) {
    return failing(row, {
      code: 'BMC',
      cause: `The server was started ${counted.late} times and did not boot byoi's agent.`,
      remedy: "Check the server's boot order, its network boot and its way to the control plane.",
      disk,
    })
  }
  const inVain =
    counted.joined >= settings.maxJoinsWithoutProgress ||
    counted.unjoined >= settings.maxStartsWithoutJoin ||
    row.attempts.epochs >= settings.maxEpochs
  if (inVain) {
    return failing(row, {
      code: 'TIMEOUT',
      cause: `The agent was started ${row.attempts.epochs} times and did not get on: ${reasons[loss]}.`,
      remedy: "Look at the server's console and power supply, then start the deployment again.",
      disk,
    })
  }
  return {
    phase: 'claim-server',
    set: { attempts: JSON.stringify(counted), disk, progressed: false },
    look: 'now',
    action: 'deployment.restart',
    detail: { reason: reasons[loss] },
  }
}
