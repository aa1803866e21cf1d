import { type Bmc, type BmcCall, BmcError } from '@byoi/bmc'
import { failpoint } from '../failpoint.ts'
import { type Db } from '../store/database.ts'
import { type Carrier } from './carrier.ts'
import { type Change } from './transition.ts'
import { type DeploymentRow, Fenced, type ServerRow, type WorkflowContext } from './workflow-context.ts'

/** What a step works with: the rows as just read, and one connection that holds the lock of the server. */
export interface StepContext extends WorkflowContext {
  row: DeploymentRow
  server: ServerRow
  /** The connection that holds the server's lock. When it is lost, so is the lock, and no command passes any more. */
  locked: Db
  /** The database's time when the row was read. */
  now: Date
  bmc: Bmc
  carrier: Carrier
  /** Stores evidence before an act, so that a repeat after a crash knows of it. */
  record(evidence: NonNullable<Change['evidence']>, action: string): Promise<void>
}

/** `wait`: nothing to do for so many ms, unless something happens. */
export type StepResult = Change | { wait: number }

/** One step of the story. It may run twice, on any replica: it looks before it acts. */
export type Step = (step: StepContext) => Promise<StepResult>

/**
 * One command to the BMC. The epoch is checked just before it, on the connection that holds the lock: a look that was
 * stopped for longer than its lock lived does nothing any more. Throws `Fenced`, or what the BMC throws.
 */
export async function command<T>(
  step: StepContext,
  effect: Effect,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await checkEpoch(step)
  failpoint(`before:${step.row.phase}:${effect}`)
  const result = await run(AbortSignal.timeout(step.settings.bmcTimeoutMs)).catch((error: unknown) => {
    const failure = isTimeout(error) ? noAnswer(step.settings.bmcTimeoutMs, error) : error
    throw failure instanceof BmcError ? new CommandFailed(calls[effect], failure) : failure
  })
  failpoint(`after:${step.row.phase}:${effect}`)
  return result
}

const calls = {
  'read-power': 'read-power',
  'read-boot-device': 'read-boot',
  'set-boot-device': 'set-boot',
  'set-power-on': 'set-power',
  'set-power-off': 'set-power',
  'insert-medium': 'media',
  'eject-medium': 'media',
} as const satisfies Record<string, BmcCall>

/** What a command is called in failpoints. */
export type Effect = keyof typeof calls

/** A command that the BMC did not carry out; which call it was decides, with its fault, what is done about it. */
export class CommandFailed extends Error {
  readonly call: BmcCall
  override readonly cause: BmcError

  constructor(call: BmcCall, cause: BmcError) {
    super(cause.message)
    this.name = 'CommandFailed'
    this.call = call
    this.cause = cause
  }
}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError'

const noAnswer = (ms: number, cause: unknown): BmcError =>
  new BmcError(`The BMC did not finish within ${Math.round(ms / 1000)} seconds.`, {
    fault: 'unreachable',
    outcome: 'unknown',
    remedy: 'Check its address and its network.',
    cause,
  })

async function checkEpoch({ locked, row }: StepContext): Promise<void> {
  const current = await locked
    .selectFrom('deployment')
    .innerJoin('server', 'server.id', 'deployment.server_id')
    .select('deployment.id')
    .where('deployment.id', '=', row.id)
    .where('deployment.state', '=', 'open')
    .where('deployment.phase', '=', row.phase)
    .where('deployment.epoch', '=', row.epoch)
    .where((where) =>
      where.or([
        where('deployment.epoch', '=', 0),
        where('server.epoch', '=', where.ref('deployment.epoch')),
      ]),
    )
    .executeTakeFirst()
  if (current === undefined) throw new Fenced()
}
