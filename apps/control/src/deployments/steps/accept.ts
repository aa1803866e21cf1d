import { type Step } from '../step.ts'

/** P0. The request was durable before it was answered; nothing is left to do, and nothing to undo. */
export const accept: Step = async ({ row }) => {
  // The deployment that this rescue ends never touched the power: only the boot device is put back.
  const phase = row.evidence.leavePower === true ? 'close' : 'claim-server'
  return { phase, look: 'now', action: 'deployment.accepted' }
}
