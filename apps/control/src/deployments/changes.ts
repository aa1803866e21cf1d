import { type Notices } from '../store/notices.ts'
import { changeChannel } from './transition.ts'

/** Tells when a deployment has changed, on whichever replica. */
export interface Changes {
  /** Resolves at the next change of the deployment, or after a while without one. Never rejects; ends when `signal` aborts. */
  next(deploymentId: string, signal: AbortSignal): Promise<void>
}

export const changesIn = (notices: Notices): Changes => ({
  next: (id, signal) => notices.next(changeChannel, id, signal),
})
