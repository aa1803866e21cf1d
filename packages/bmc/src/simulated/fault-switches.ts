import { type Answer, type Exchange, type Handler } from './exchange.ts'
import { type Fault, type FaultContext, type Misbehave } from './fault.ts'
import { accessFaults } from './faults/access.ts'
import { bootSettingsFaults } from './faults/boot-settings.ts'
import { bootFaults } from './faults/boot.ts'
import { etagFaults } from './faults/etags.ts'
import { mediaFaults } from './faults/media.ts'
import { slotFaults } from './faults/media-slots.ts'
import { oemFaults } from './faults/oem.ts'
import { powerFaults } from './faults/power.ts'
import { taskFaults } from './faults/tasks.ts'
import { transportFaults } from './faults/transport.ts'

/** How it answers. */
const answerFaults = { ...transportFaults, ...accessFaults, ...etagFaults, ...taskFaults }
/** What it does with the server. */
const serverFaults = {
  ...bootSettingsFaults,
  ...bootFaults,
  ...powerFaults,
  ...slotFaults,
  ...mediaFaults,
  ...oemFaults,
}
const faults = { ...answerFaults, ...serverFaults } satisfies Record<string, Fault>

export type FaultName = keyof typeof faults
export const answerFaultNames = Object.keys(answerFaults) as FaultName[]
export const serverFaultNames = Object.keys(serverFaults) as FaultName[]
export const faultNames = [...answerFaultNames, ...serverFaultNames]

/** Which misbehaviours of a simulated BMC are on. */
export class FaultSwitches {
  readonly #context: FaultContext
  readonly #on = new Map<FaultName | symbol, Misbehave>()

  constructor(context: FaultContext) {
    this.#context = context
  }

  on(name: FaultName): void {
    this.#on.set(name, faults[name](this.#context))
  }

  /** One that has no name, such as the face of another vendor. */
  use(fault: Fault): void {
    this.#on.set(Symbol('nameless'), fault(this.#context))
  }

  off(name: FaultName): void {
    this.#on.delete(name)
  }

  /** The service's answer as the misbehaviours leave it; the one that was turned on first is nearest to the service. */
  async answer(exchange: Exchange, service: Handler): Promise<Answer> {
    let handler = service
    for (const misbehave of this.#on.values()) {
      const inner = handler
      handler = (each) => misbehave(each, inner)
    }
    return await handler(exchange)
  }
}
