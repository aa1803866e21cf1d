import { type Answer, errorAnswer, type Exchange, type Handler, ok } from '../exchange.ts'
import { type Fault, type FaultContext } from '../fault.ts'

interface TaskPlan {
  /** ms until it is done; Infinity: never, and nothing is done. */
  takes: number
  /** Ends in this state instead of `Completed`, with nothing done. */
  fails?: string
  accepted?: (path: string) => Partial<Answer>
  /** Answers instead of the task's own. */
  read?: (asked: number, isOver: boolean) => Answer | null
}

/** Resets, boot overrides and inserts are accepted with 202, and done later. */
const inTasks =
  (plan: TaskPlan): Fault =>
  ({ clock, paths }: FaultContext) => {
    const tasks = new Map<string, { due: number; run: () => Promise<Answer>; asked: number; done: boolean }>()
    const settle = async () => {
      for (const task of tasks.values()) {
        if (task.done || clock.now() < task.due) continue
        task.done = true
        if (plan.fails === undefined) await task.run()
      }
    }
    const accept = (exchange: Exchange, next: Handler): Answer => {
      const path = `${paths.tasks}/${tasks.size + 1}`
      const task = { due: clock.now() + plan.takes, run: () => next(exchange), asked: 0, done: false }
      tasks.set(path, task)
      const body = taskResource(path, 'Running', [])
      return { status: 202, headers: { Location: path }, body, ...plan.accepted?.(path) }
    }
    return async (exchange, next) => {
      await settle()
      const task = tasks.get(exchange.path)
      if (task !== undefined) {
        const special = plan.read?.(++task.asked, task.done) ?? null
        if (special !== null) return special
        const state = task.done ? (plan.fails ?? 'Completed') : 'Running'
        return ok(taskResource(exchange.path, state, plan.fails === undefined || !task.done ? [] : [failure]))
      }
      const isTask = exchange.method === 'PATCH' || /\.(?:Reset|InsertMedia)$/.test(exchange.path)
      return isTask && exchange.method !== 'GET' ? accept(exchange, next) : await next(exchange)
    }
  }

const failure = {
  MessageId: 'IDRAC.2.8.SYS446',
  Message: 'Unable to complete the job.',
  Severity: 'Critical',
}

const taskResource = (path: string, state: string, messages: readonly unknown[]) => ({
  '@odata.id': path,
  '@odata.type': '#Task.v1_4_3.Task',
  Id: path.split('/').at(-1),
  Name: 'Task',
  TaskState: state,
  TaskStatus: messages.length === 0 ? 'OK' : 'Critical',
  Messages: messages,
})

const missing = () => errorAnswer(404, 'Base.1.18.ResourceMissingAtURI', 'Not found.')
const noBody = { body: undefined }

/** Operations that take their time (DSP0266, "Asynchronous operations"). */
export const taskFaults = {
  task: inTasks({ takes: 5000 }),
  'task-without-location': inTasks({ takes: 5000, accepted: () => ({ headers: {}, ...noBody }) }),
  'task-named-in-body': inTasks({ takes: 5000, accepted: () => ({ headers: {} }) }),
  'task-with-date': inTasks({
    takes: 5000,
    accepted: (path) => ({
      headers: { Location: path, 'Retry-After': new Date(Date.now() + 10_000).toUTCString() },
    }),
  }),
  /** Dell: a new job is not there at once. */
  'task-missing-at-first': inTasks({ takes: 5000, read: (asked) => (asked <= 2 ? missing() : null) }),
  /** Dell: a job that is done is deleted. */
  'task-missing-at-end': inTasks({ takes: 5000, read: (_, isOver) => (isOver ? missing() : null) }),
  'task-monitor': inTasks({
    takes: 5000,
    accepted: (path) => ({ headers: { Location: `${path}/Monitor` }, ...noBody }),
  }),
  'task-fails': inTasks({ takes: 5000, fails: 'Exception' }),
  'task-endless': inTasks({ takes: Number.POSITIVE_INFINITY }),
} satisfies Record<string, Fault>
