import type { DeployOrder, DiskFacts, MachineFacts, RescueOrder } from '@byoi/contract'
import type { EfiBoot } from '@byoi/imaging'

/** Where a rescue system can be reached. Host keys as public key lines; both empty where there is no SSH. */
export interface RescueSystem {
  hostKeys: string[]
  addresses: string[]
}

/** The server that an agent works on: a disk that is a file, or the machine whose RAM the agent runs in. */
export interface AgentServer {
  readonly disks: DiskFacts[]
  /** null on a file-backed server. */
  readonly machine: MachineFacts | null
  /**
   * Called once the disk of the order is published and its firmware could start it. Gives what an operator should know, a sentence
   * each. Never rejects: the deployment is done whatever happens here.
   */
  afterPublish(order: DeployOrder, boot: EfiBoot | null): Promise<string[]>
  /** Starts a system to log in to; the disks stay as they are. Rejects with one sentence where that fails. */
  startRescue(order: RescueOrder): Promise<RescueSystem>
  /** What an operator should know of the server beside its facts, a sentence each. Changes nothing. */
  findings(): Promise<string[]>
  /**
   * How long the agent stays once its outcome was heard, in ms, so that the server is not off before the control plane has turned it
   * off. 0: not at all.
   */
  readonly staysMs: number
}
