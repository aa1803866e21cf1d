import { type DeploymentView } from '@byoi/contract'
import { type DeploymentRow } from './workflow-context.ts'

/** What is shown of a row: to its owner, so nothing secret. The one place where a row becomes an answer. */
export function deploymentView(row: DeploymentRow): DeploymentView {
  // Until the agent has published, or the cancel is decided, a wished-for cancel is going on.
  const state = row.cancel_at === null ? row.state : 'cancelled'
  return {
    id: row.id,
    serviceName: row.service_name,
    kind: row.kind,
    state,
    phase: row.phase,
    epoch: row.epoch,
    description: row.request?.description ?? null,
    image: row.request === null ? null : { url: row.request.url, type: row.request.type },
    bytesDone: row.bytes_done,
    bytesTotal: row.bytes_total,
    bytesPerSecond: row.bytes_per_second,
    secondsLeft: row.seconds_left,
    percent: percentOf(row),
    disk: row.disk,
    checksum: row.checksum,
    error: row.state === 'error' ? row.failure : null,
    hold: row.hold,
    steps: row.steps.map(({ phase, startedAt, endedAt }) => ({ phase, startedAt, endedAt })),
    booted: row.booted,
    rescue: row.rescue,
    notes: row.notes,
    log: row.log,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  }
}

function percentOf({ state, kind, bytes_done, bytes_total }: DeploymentRow): number | null {
  if (kind === 'deploy' && state === 'done') return 100
  if (bytes_total === null || bytes_total === 0) return null
  return Math.min(100, Math.round((bytes_done / bytes_total) * 1000) / 10)
}
