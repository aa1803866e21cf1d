import {
  type AgentFailure,
  type DeployResult,
  type DiskState,
  phaseNumber,
  type Progress,
  type Report,
  type ReportAnswer,
} from '@byoi/contract'
import { sql } from 'kysely'
import { failing } from '../deployments/outcomes.ts'
import { type Change, changeChannel, databaseTime, transition } from '../deployments/transition.ts'
import { type DeploymentRow, type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Trx } from '../store/database.ts'
import { notTheAgent } from './agent-refusal.ts'
import { type Heard } from './session.ts'

/** Lines of the agent's log that are kept. */
const keptLines = 200

/** Takes a report in. An outcome moves the deployment on in the same transaction. Throws `AgentRefusal`. */
export async function report(
  context: WorkflowContext,
  trx: Trx,
  { row, session, repeated }: Heard,
  message: Report,
  sequence: number,
): Promise<ReportAnswer> {
  if (message.epoch !== session.epoch) throw notTheAgent()
  if (repeated) return { heard: sequence }
  const now = await databaseTime(trx)
  // What comes after an outcome, or from a server that stays in rescue, changes nothing.
  const working = row.state === 'open' && row.failure === null && isAgentsTurn(row)
  if (!working) return { heard: sequence }

  const seen = await store(context, trx, row, message, now)
  const change = message.outcome === null ? null : outcomeOf(seen, message.outcome)
  if (change !== null) await transition(context, trx, seen, change)
  return { heard: sequence }
}

const isAgentsTurn = (row: DeploymentRow): boolean =>
  phaseNumber(row.phase) >= phaseNumber('power-on') && phaseNumber(row.phase) <= phaseNumber('publish')

/** Progress, log lines and the time at which the agent was heard; the phase only where it has moved forward. */
async function store(
  context: WorkflowContext,
  trx: Trx,
  row: DeploymentRow,
  { progress, log }: Report,
  now: Date,
): Promise<DeploymentRow> {
  const set = {
    agent_seen_at: now,
    ...(progress === null ? {} : progressOf(row, progress)),
    ...(log.length === 0 ? {} : { log: JSON.stringify([...row.log, ...log].slice(-keptLines)) }),
  }
  // Publish is entered by its permit alone, whatever an agent says.
  const moves =
    progress !== null &&
    row.kind === 'deploy' &&
    progress.phase !== 'publish' &&
    phaseNumber(progress.phase) > phaseNumber(row.phase)
  if (moves) {
    return await transition(context, trx, row, {
      phase: progress.phase,
      set,
      look: context.settings.localLeaseMs,
      action: 'agent.phase',
      actor: 'agent',
    })
  }
  const stored = await trx
    .updateTable('deployment')
    .set({ ...set, version: sql`version + 1`, updated_at: now })
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow()
  await sql`select pg_notify(${changeChannel}, ${row.id})`.execute(trx)
  return stored
}

function progressOf(row: DeploymentRow, progress: Progress) {
  const writes = progress.phase === 'write' && progress.bytesDone > 0
  // Other phases count bytes of their own; what is shown is the image's, and never runs backwards within an epoch.
  const image =
    progress.phase === 'write' ? { bytes_done: progress.bytesDone, bytes_total: progress.bytesTotal } : {}
  return {
    ...image,
    bytes_per_second: progress.bytesPerSecond,
    seconds_left: progress.secondsLeft,
    ...(writes || phaseNumber(progress.phase) > phaseNumber('write') ? { progressed: true } : {}),
    disk: diskDuring(row.disk, progress),
  }
}

/**
 * What can be said of the disk while an agent works. The boot areas are zeroed and flushed before the first byte of the image is
 * written; from the permit on they may be there again.
 */
function diskDuring(before: DiskState, { phase, bytesDone }: Progress): DiskState {
  if (phase === 'preflight-disk') return before
  if (phase === 'publish') return 'unknown'
  if (phase === 'write' && bytesDone === 0) return before === 'unbootable' ? before : 'unknown'
  return 'unbootable'
}

function outcomeOf(row: DeploymentRow, outcome: NonNullable<Report['outcome']>): Change {
  if (outcome.kind === 'published') return published(row, outcome.result)
  if (outcome.kind === 'failed') return failed(row, outcome.failure)
  return outcome.kind === 'rescue' ? inRescue(row, outcome) : inspected(row, outcome.findings)
}

function published(row: DeploymentRow, result: DeployResult): Change {
  // Without a permit there was no leave to publish, so this is not an agent of ours.
  if (row.phase !== 'publish' || row.evidence.permit !== row.epoch) throw notTheAgent()
  const { checkSum, checkSumType, bytesServed, virtualSize, written, seconds, notes } = result
  return {
    phase: 'boot-from-disk',
    set: {
      disk: 'complete',
      checksum: checkSum,
      bytes_done: bytesServed,
      bytes_total: bytesServed,
      seconds_left: null,
      notes: JSON.stringify([...row.notes, ...notes]),
    },
    look: 'now',
    action: 'agent.published',
    actor: 'agent',
    detail: { checkSum, checkSumType, virtualSize, written, seconds },
  }
}

function failed(row: DeploymentRow, failure: AgentFailure): Change {
  return failing(row, failure, 'agent')
}

function inRescue(
  row: DeploymentRow,
  { hostKeys, addresses }: { hostKeys: string[]; addresses: string[] },
): Change {
  if (row.kind !== 'rescue') throw notTheAgent()
  return {
    phase: 'close',
    set: { rescue: JSON.stringify({ hostKeys, addresses }) },
    look: 'now',
    action: 'agent.rescue',
    actor: 'agent',
    detail: { hostKeys, addresses },
  }
}

function inspected(row: DeploymentRow, findings: string[]): Change {
  if (row.kind !== 'inspect') throw notTheAgent()
  return {
    phase: 'boot-from-disk',
    set: { notes: JSON.stringify([...row.notes, ...findings]) },
    look: 'now',
    action: 'agent.inspected',
    actor: 'agent',
  }
}
