import { type BmcError } from '../bmc.ts'
import { type Answer, retryAfter } from './answer.ts'
import { type Budget } from './budget.ts'
import { type Client } from './client.ts'
import { failure, kindOfMessages } from './errors.ts'
import { at, type Json, linkAt, objectAt, textAt } from './json.ts'
import { taskMessages } from './messages.ts'

/** `Failed` is in no schema; a Supermicro says it. */
const ended = ['Completed', 'Exception', 'Killed', 'Cancelled', 'Failed']
const pollMs = 1000
const unknownMs = 10_000
const unknownTries = 3

/** What a BMC accepted with 202 and does in its own time (DSP0266, "Asynchronous operations"). */
export class Task {
  readonly #client: Client
  readonly #path: string
  #due: number
  #seen = false
  #unknown = 0

  private constructor(client: Client, path: string, due: number) {
    this.#client = client
    this.#path = path
    this.#due = due
  }

  /** null: there is none, and what was changed tells when it is done. */
  static of(answer: Answer, client: Client, budget: Budget): Task | null {
    if (answer.status !== 202) return null
    const resource = isTask(answer.json) ? linkAt(answer.json) : null
    const location = answer.headers.location ?? linkAt(answer.json)
    // The task and not its monitor: reading the monitor of a finished XCC task deletes the task (bmclib lenovo.go), and
    // OpenBMC's monitor is the task's path with /Monitor (bmclib redfishwrapper/firmware.go).
    const path = resource ?? location?.replace(/\/Monitor\/?$/, '') ?? null
    if (path === null) return null
    return new Task(client, path, budget.clock.now() + (retryAfter(answer.headers, Date.now()) ?? pollMs))
  }

  /** Looks when it is time to. Throws `BmcError` when the task failed. `what` goes on from "The BMC". */
  async check(what: string, budget: Budget): Promise<'running' | 'done'> {
    const { clock } = budget
    if (clock.now() < this.#due) return 'running'
    const answer = await this.#client.find(this.#path, budget)
    this.#due = clock.now() + (retryAfter(answer.headers, Date.now()) ?? pollMs)
    if (answer.status === 404) return this.#missing(clock.now())
    this.#seen = true
    const task = isTask(answer.json) ? answer.json : null
    if (task !== null) return this.#judge(task, what)
    if (answer.ok) return answer.status === 202 ? 'running' : 'done'
    throw this.#failed(`${what} (task, HTTP ${answer.status})`, answer.json ?? {})
  }

  /** Dell: jobs are not there at once, and are deleted when they are done. */
  #missing(now: number): 'running' | 'done' {
    if (this.#seen || ++this.#unknown >= unknownTries) return 'done'
    this.#due = now + unknownMs
    return 'running'
  }

  #judge(task: Json, what: string): 'running' | 'done' {
    const state = textAt(task, 'TaskState') ?? ''
    if (state === 'Completed' && textAt(task, 'TaskStatus') !== 'Critical') return 'done'
    if (!ended.includes(state)) return 'running'
    throw this.#failed(what, task)
  }

  #failed(what: string, task: Json): BmcError {
    const messages = taskMessages(task)
    const state = textAt(task, 'TaskState') ?? 'failed'
    return failure(
      what,
      kindOfMessages(messages) ?? 'broken',
      `task ${this.#client.clean(state)}`,
      messages,
      this.#client.clean,
    )
  }
}

const isTask = (json: Json | null): json is Json =>
  objectAt({ json }, 'json') !== null && at(json, 'TaskState') !== undefined

/** Waits until the task is done; false when the budget ends before. Throws `BmcError` when it failed. */
export async function finish(task: Task | null, what: string, budget: Budget): Promise<boolean> {
  if (task === null) return true
  const pause = budget.pacer(pollMs)
  while ((await task.check(what, budget)) === 'running') {
    if (!(await pause())) return false
  }
  return true
}
