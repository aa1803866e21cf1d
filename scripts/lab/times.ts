/** How long each step took, as a table. */
import { type DeploymentView } from '@byoi/contract'

export interface TimedStep {
  what: string
  seconds: number
}

/** Takes the time of each step that it is given. */
export class Times {
  readonly #steps: TimedStep[] = []

  async take<T>(what: string, work: () => Promise<T>): Promise<T> {
    const begin = performance.now()
    const result = await work()
    this.#steps.push({ what, seconds: (performance.now() - begin) / 1000 })
    return result
  }

  add(steps: TimedStep[]): void {
    this.#steps.push(...steps)
  }

  print(): void {
    const width = Math.max(...this.#steps.map(({ what }) => what.length))
    for (const { what, seconds } of this.#steps) {
      console.log(`      ${what.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s`)
    }
  }
}

const groups = [
  { what: 'accepted, BMC set, power on', from: 'accept', to: 'power-on' },
  { what: 'power on to agent joined', from: 'await-agent', to: 'await-agent' },
  { what: 'image inspected', from: 'preflight-disk', to: 'preflight-disk' },
  { what: 'image written', from: 'write', to: 'write' },
  { what: 'read back, GPT, config drive, published', from: 'verify', to: 'publish' },
  { what: 'started from its disk', from: 'boot-from-disk', to: 'close' },
] as const

/** The steps of a deployment that has ended. */
export const stepsOf = ({ serviceName, steps }: DeploymentView): TimedStep[] =>
  groups.map(({ what, from, to }) => {
    const begin = steps.find(({ phase }) => phase === from)?.startedAt
    const end = steps.findLast(({ phase }) => phase === to)?.endedAt
    const seconds =
      begin === undefined || end === undefined || end === null
        ? Number.NaN
        : (Date.parse(end) - Date.parse(begin)) / 1000
    return { what: `${serviceName}: ${what}`, seconds }
  })
