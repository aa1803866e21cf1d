/** Follows a deployment by its detail route and shows where it is: one live line on a terminal, else a line for each phase. */
import { type DeploymentView } from '@byoi/contract'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ApiClient } from '../api-client.ts'

const mib = 1024 * 1024
const pollMs = 200
const lineMs = 500

/** One line about a deployment that goes on. */
export function progressLine(view: DeploymentView): string {
  if (view.phase !== 'write' && view.phase !== 'verify') return view.phase
  const total = view.bytesTotal === null ? '' : ` of ${(view.bytesTotal / mib).toFixed(0)}`
  const rate = view.bytesPerSecond > 0 ? `, ${(view.bytesPerSecond / mib).toFixed(0)} MiB/s` : ''
  const left = view.secondsLeft === null ? '' : `, ${view.secondsLeft} s left`
  return `${view.phase}: ${(view.bytesDone / mib).toFixed(0)}${total} MiB${rate}${left}`
}

/** Waits for the deployment's end. @throws {Error} when nothing changes for `patience` ms or the API refuses. */
export async function follow(client: ApiClient, server: string, patience = 300_000): Promise<DeploymentView> {
  const live = process.stdout.isTTY
  let phase = ''
  let shown = ''
  let shownAt = 0
  let changed = Date.now()
  let stamp = ''
  for (;;) {
    const { status, body, text } = await client.call('GET', `/byoi/server/${server}/deployment`)
    if (status !== 200) throw new Error(`GET /byoi/server/${server}/deployment answered ${status}: ${text}`)
    const view = body as DeploymentView
    const line = progressLine(view)
    if (live) process.stdout.write(`\r\u001B[K      ${line}`)
    // Without a terminal: each phase, and now and then how far it is.
    else if (view.phase !== phase || (line !== shown && Date.now() - shownAt > lineMs)) {
      console.log(`      ${line}`)
      shown = line
      shownAt = Date.now()
    }
    phase = view.phase
    if (view.state !== 'open') {
      if (live) process.stdout.write('\r\u001B[K')
      return view
    }
    if (`${view.updatedAt} ${view.bytesDone}` !== stamp) {
      stamp = `${view.updatedAt} ${view.bytesDone}`
      changed = Date.now()
    }
    if (Date.now() - changed > patience) throw new Error(`the deployment stands still in ${view.phase}`)
    await sleep(pollMs)
  }
}
