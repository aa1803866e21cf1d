import { type Clock } from '../bmc.ts'
import { type Answer, type Exchange, type Handler } from './exchange.ts'
import { type Machine } from './machine.ts'
import { type Paths } from './resources.ts'
import { type Sessions } from './sessions.ts'

/** What a misbehaviour may look at and change. */
export interface FaultContext {
  machine: Machine
  sessions: Sessions
  clock: Clock
  paths: Paths
}

/** Stands between the client and the service: may change the question, the answer, or both. */
export type Misbehave = (exchange: Exchange, next: Handler) => Promise<Answer>
/** Made when it is turned on, with a state of its own. */
export type Fault = (context: FaultContext) => Misbehave
