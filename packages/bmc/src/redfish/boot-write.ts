import { type BmcError } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { bootOf, type BootView, has, overrideOf } from './boot-view.ts'
import { type Resource } from './client.ts'
import { isLost, kindOf, refusal } from './errors.ts'
import { mentions } from './messages.ts'
import { type KnownServer } from './server.ts'
import { finish, Task } from './tasks.ts'

/** Values of the override's properties, as they are written. */
export type Body = Readonly<Record<string, string | null>>

/** Where a body is written: each part to its path. */
interface Place {
  name: string
  split: (body: Body) => Part[]
}

interface Part {
  path: string
  body: Body
  /** The resource as it was read, where it was. */
  known: Resource | null
}

interface Places {
  /** What the BMC's resources say. */
  planned: Place
  /** What is tried when that is refused. */
  others: readonly Place[]
  /** AMI: where the refusal itself sends us. */
  future: Place
}

interface Trial {
  body: Body
  place: Place
}

const mode = 'BootSourceOverrideMode'
const taskMs = 60_000

/**
 * Writes an override in the order of trials that real BMCs need: with the mode only where it matters; without it, where it is
 * what was refused; then all of it; then at the other place. Throws `BmcError`.
 *
 * @returns null: accepted. Else the answer was lost, and what reads back will tell.
 */
export async function writeBoot(server: KnownServer, view: BootView, body: Body): Promise<BmcError | null> {
  const places = placesFor(view, server)
  const tried = new Set<string>()
  let trial: Trial = { body: firstBody(server, view, body), place: places.planned }
  for (;;) {
    tried.add(nameOf(trial))
    let refused: Answer | null
    try {
      refused = await writeTo(server, trial)
    } catch (error) {
      if (isLost(error)) return error
      throw error
    }
    if (refused === null) return null
    const next = nextTrials(trial, refused, body, places).find((each) => !tried.has(nameOf(each)))
    if (kindOf(refused) !== 'refused' || next === undefined) {
      throw refusal('refused the boot device', refused, server.client.clean)
    }
    trial = next
  }
}

/** Without the mode, where sending it is not called for: on iDRAC 9 it queues a BIOS job, even unchanged. */
function firstBody({ quirks }: KnownServer, { system, settings }: BootView, body: Body): Body {
  const modes = [system, settings].map((each) => overrideOf(bootOf(each)).mode)
  const shown = modes.find((each) => each !== null)
  const differs = shown !== body[mode] && body['BootSourceOverrideTarget'] !== 'None'
  return shown !== undefined && (quirks.wholeBoot || differs) ? body : without(body, mode)
}

function nextTrials({ body, place }: Trial, { messages }: Answer, whole: Body, places: Places): Trial[] {
  const bodies = mode in body && mentions(messages, mode) ? [without(body, mode)] : [body, whole]
  const isFuture = messages.some(({ id }) => id === 'OperationSupportedInFutureStateURI')
  const where = isFuture ? [places.future] : [place, ...places.others]
  return where.flatMap((each) => bodies.map((body) => ({ body, place: each })))
}

const nameOf = ({ body, place }: Trial): string => `${place.name}: ${Object.keys(body).toSorted().join()}`

const without = (body: Body, name: string): Body =>
  Object.fromEntries(Object.entries(body).filter(([each]) => each !== name))

const whole = (name: string, path: string, known: Resource | null): Place => ({
  name,
  split: (body) => [{ path, body, known }],
})

function placesFor({ system, settings }: BootView, { quirks }: KnownServer): Places {
  const onSystem = whole('system', system.path, system)
  const future = whole('future', settings?.path ?? `${system.path}/${quirks.futureState}`, settings)
  if (settings === null) return { planned: onSystem, others: [], future }
  const pending = bootOf(settings)
  const part = (body: Body, there: boolean): Body =>
    Object.fromEntries(Object.entries(body).filter(([name]) => has(pending, name) === there))
  // Each property where it is: Lenovo's settings object holds no override at all, iDRAC 10's all of it.
  const parted: Place = {
    name: 'parted',
    split: (body) =>
      [
        { path: settings.path, body: part(body, true), known: settings },
        { path: system.path, body: part(body, false), known: system },
      ].filter((each) => Object.keys(each.body).length > 0),
  }
  return { planned: parted, others: [whole('settings', settings.path, settings), onSystem], future }
}

/** null: accepted. */
async function writeTo({ client, budget }: KnownServer, { body, place }: Trial): Promise<Answer | null> {
  for (const part of place.split(body)) {
    const answer = await client.patch(part.path, { Boot: part.body }, budget, part.known)
    if (!answer.ok) return answer
    await finish(Task.of(answer, client, budget), 'did not set the boot device', budget.within(taskMs))
  }
  return null
}
