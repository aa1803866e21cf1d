import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, type ByoiClient, type DeploymentView } from '@byoi/contract'
import { CommandFailed, type Context } from './context.ts'
import { printJson } from './print.ts'
import { bytesText, durationText, noProgress, type ProgressLine, progressLine } from './progress-line.ts'
import { printError } from './show-error.ts'

const pollMs = 1000
/** How long the API may be out of reach before following it fails, in ms. */
const patienceMs = 30 * 60_000

/**
 * A deployment's views until it has ended, from the present one on; with `untilBooted` until there is evidence that its system has
 * booted, or none is expected any more. Follows the event stream, takes it up again where it broke off, and polls where the API
 * has none.
 */
export async function* follow(
  client: ByoiClient,
  id: string,
  untilBooted = false,
): AsyncGenerator<DeploymentView> {
  let after = 0
  let streaming = true
  let ended = false
  let heardAt = performance.now()
  for (;;) {
    try {
      for await (const event of streaming ? client.events(id, { after }) : once(client, id)) {
        after = event.id
        heardAt = performance.now()
        yield event.view
        const { endedAt, state, booted } = event.view
        ended = endedAt !== null
        if (ended && !(untilBooted && state === 'done' && booted === null)) return
      }
      // The stream of one that has ended is over when nothing more is to come.
      if (ended) return
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (streaming && [404, 405, 406, 501].includes(error.status)) streaming = false
      else if (!isPassing(error) || performance.now() - heardAt > patienceMs) throw error
    }
    await sleep(pollMs)
  }
}

async function* once(client: ByoiClient, id: string): AsyncGenerator<{ id: number; view: DeploymentView }> {
  yield { id: 0, view: await client.deploymentById(id) }
}

/** No answer, too many requests, or a control plane that is starting again. */
const isPassing = (error: ApiError): boolean =>
  error.status === 0 || error.status === 429 || error.status >= 500

/**
 * Follows a deployment with one progress line on standard error. Throws CommandFailed unless it ends `done`; a hold ends it
 * too, because only an operator can go on from there. With `booted` it must also be seen that its system has booted.
 */
export async function followToEnd(
  client: ByoiClient,
  from: DeploymentView,
  options: { json?: boolean; booted?: boolean },
  context: Context,
): Promise<void> {
  const line = options.json ? noProgress : progressLine(context.stderr)
  let view = from
  try {
    for await (const next of follow(client, from.id, options.booted)) {
      for (const said of newLines(view.log, next.log)) line.say(said)
      view = next
      showProgress(view, line)
      if (view.state === 'hold') break
    }
  } finally {
    line.end()
  }
  if (options.json) printJson(view, context)
  else printView(view, context)
  if (view.state !== 'done') throw new CommandFailed(view.state)
  if (!options.booted || view.booted !== null) return
  context.stderr.write('error: There is no sign that the deployed system has booted: look at byoi console.\n')
  throw new CommandFailed('not booted')
}

/** What `next`, the newest lines of a log, has beyond `last`, an earlier such tail. */
function newLines(last: string[], next: string[]): string[] {
  const newest = last.at(-1)
  return newest === undefined ? next : next.slice(next.lastIndexOf(newest) + 1)
}

function showProgress(view: DeploymentView, line: ProgressLine): void {
  const { bytesDone, bytesTotal, bytesPerSecond, secondsLeft } = view
  const label = `${view.serviceName}  ${view.state === 'open' ? view.phase : view.state}`
  line.show({ label, bytesDone, bytesTotal, bytesPerSecond, secondsLeft })
}

/** A deployment for a person: on standard output what it is, on standard error what went wrong. */
export function printView(view: DeploymentView, context: Context): void {
  const { bytesDone, bytesTotal, bytesPerSecond, secondsLeft, percent } = view
  const progress = [
    percent === null ? null : `${percent.toFixed(1)} %`,
    bytesTotal === null ? bytesText(bytesDone) : `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`,
    bytesPerSecond > 0 ? `${bytesText(bytesPerSecond)}/s` : null,
    secondsLeft === null ? null : `${durationText(secondsLeft)} left`,
  ].filter((part) => part !== null)
  const facts: [string, string | null][] = [
    ['server', view.serviceName],
    ['deployment', `${view.id} (${view.kind})`],
    ['state', view.state],
    ['phase', view.phase],
    ['image', view.image === null ? null : `${view.image.url} (${view.image.type})`],
    ['progress', view.kind === 'deploy' ? progress.join(', ') : null],
    ['disk', view.disk],
    ['checksum', view.checksum],
    ['hold', view.hold],
    ['to go on', view.hold === null ? null : `byoi hold resolve ${view.id} continue, or ... fail to give up`],
    ['booted', view.booted === null ? null : `${view.booted.at} (${view.booted.by})`],
    ...(view.rescue?.addresses ?? []).map((address): [string, string] => ['ssh', `root@${address}`]),
    ...(view.rescue?.hostKeys ?? []).map((key): [string, string] => ['host key', key]),
    ...view.notes.map((note): [string, string] => ['note', note]),
  ]
  for (const [name, value] of facts)
    if (value !== null) context.stdout.write(`${`${name}:`.padEnd(12)} ${value}\n`)
  if (view.error !== null) printError(view.error, context)
}
