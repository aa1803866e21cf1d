import { phaseNumber } from '@byoi/contract'
import { databaseTime, transition } from '../deployments/transition.ts'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { type Trx } from '../store/database.ts'
import { epochOver, notTheAgent } from './agent-refusal.ts'
import { type Heard } from './session.ts'

/**
 * May this agent publish, now? Judged anew each time, also for a repeat of the question. The yes is durable before it is said:
 * from then on the disk may be bootable, and DELETE waits for the agent. Throws `AgentRefusal`.
 */
export async function permit(context: WorkflowContext, trx: Trx, { row, session }: Heard, epoch: number) {
  if (epoch !== session.epoch || row.kind !== 'deploy') throw notTheAgent()
  if (row.failure !== null || row.cancel_at !== null) throw epochOver()
  if (phaseNumber(row.phase) > phaseNumber('publish')) throw epochOver()
  const now = await databaseTime(trx)
  await transition(context, trx, row, {
    phase: 'publish',
    evidence: { permit: epoch },
    set: { agent_seen_at: now, disk: 'unknown', progressed: true },
    look: context.settings.localLeaseMs,
    action: 'agent.permit',
    actor: 'agent',
  })
  return { epoch }
}
