import { type Step } from '../step.ts'

/** P0. The request was durable before it was answered; nothing is left to do, and nothing to undo. */
export const accept: Step = async () => ({
  phase: 'claim-server',
  look: 'now',
  action: 'deployment.accepted',
})
