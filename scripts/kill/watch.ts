/** Watches one deployment by both routes until it ends, and notes every contradiction. */
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DeploymentView } from '@byoi/contract'
import { type ApiAnswer, type ApiClient } from '../api-client.ts'

const mib = 1024 * 1024
const pollMs = 400

export type Ask = (method: string, path: string, body?: unknown) => Promise<ApiAnswer | undefined>

/** A caller that takes silence (killed, starting, too many calls) for "ask again later". */
export const patient =
  (client: ApiClient): Ask =>
  async (method, path, body) => {
    const answer = await client.call(method, path, body).catch(() => undefined)
    return answer === undefined || answer.status === 429 || answer.status >= 500 ? undefined : answer
  }

/** Asks until there is an answer. @throws {Error} after `ms`. */
export async function askUntilAnswered(
  ask: Ask,
  method: string,
  path: string,
  body: unknown,
  ms: number,
): Promise<ApiAnswer> {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(pollMs)) {
    const answer = await ask(method, path, body)
    if (answer !== undefined) return answer
  }
  throw new Error(`${method} ${path}: no answer in ${ms} ms`)
}

/** The first MiB of a disk: all zero while a deployment is not published. */
export async function firstMib(disk: string): Promise<Buffer> {
  const file = await open(disk)
  try {
    const buffer = Buffer.alloc(mib)
    await file.read(buffer, 0, mib, 0)
    return buffer
  } finally {
    await file.close()
  }
}

export interface Watched {
  view: DeploymentView | undefined
  /** What GET of the old route said last. */
  status: { status: string; message: string; checksum: string | null } | undefined
  /** Sentences about what must never be. */
  faults: string[]
}

/**
 * @param since The server's deployment before this one; its state is not this one's.
 * @param onDone Called as soon as any route says `done`: gives what is wrong with the disk.
 */
export async function watch(
  ask: Ask,
  server: string,
  since: string | undefined,
  ms: number,
  onDone: () => Promise<string[]>,
): Promise<Watched> {
  const watched: Watched = { view: undefined, status: undefined, faults: [] }
  let ended = ''
  let checked = false
  for (const end = Date.now() + ms; ; await sleep(pollMs)) {
    const viewAnswer = await ask('GET', `/byoi/server/${server}/deployment`)
    const statusAnswer = await ask('GET', `/dedicated/server/${server}/bringYourOwnImage`)
    if (viewAnswer?.status === 200) watched.view = viewAnswer.body as DeploymentView
    if (viewAnswer?.status === 404 || statusAnswer?.status === 404) {
      watched.faults.push('an accepted deployment was forgotten (404)')
      return watched
    }
    const view = watched.view
    if (view !== undefined && view.id === since) {
      watched.faults.push('an accepted deployment gave way to the one before it')
      return watched
    }
    if (statusAnswer?.status === 200) watched.status = statusAnswer.body as NonNullable<Watched['status']>
    const said = watched.status?.status ?? ''
    if (ended !== '' && said !== ended) {
      watched.faults.push(`GET said ${ended}, then ${said}`)
      return watched
    }
    if (said === 'done' || said === 'error') ended = said
    if ((said === 'done' || view?.state === 'done') && !checked) {
      checked = true
      watched.faults.push(...(await onDone()))
    }
    if (view !== undefined && view.state !== 'open' && ended !== '') {
      if (view.state !== ended)
        watched.faults.push(`the routes contradict each other: ${ended} and ${view.state}`)
      return watched
    }
    if (view?.state === 'hold') return watched
    if (Date.now() > end) {
      watched.faults.push(`stuck in ${view?.phase ?? 'an unknown phase'} after ${ms} ms`)
      return watched
    }
  }
}
