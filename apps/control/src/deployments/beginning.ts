import { noAttempts } from './outcomes.ts'
import { type WorkflowContext } from './workflow-context.ts'

/** The columns with which every row begins, a deployment's and a rescue's alike. `now`: the database's time. */
export const beginning = ({ settings }: WorkflowContext, now: Date) => ({
  state: 'open' as const,
  phase: 'accept' as const,
  epoch: 0,
  evidence: JSON.stringify({}),
  attempts: JSON.stringify(noAttempts),
  steps: JSON.stringify([{ phase: 'accept', epoch: 0, startedAt: now.toISOString(), endedAt: null }]),
  notes: JSON.stringify([]),
  log: JSON.stringify([]),
  failure: JSON.stringify(null),
  due: now,
  deadline: new Date(now.getTime() + settings.deadlineMs),
})
