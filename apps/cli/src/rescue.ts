import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, type ByoiClient, type DeploymentView } from '@byoi/contract'
import { CommandFailed, type Context } from './context.ts'
import { printView } from './deployment.ts'
import { printJson } from './print.ts'

const pollMs = 1000

interface Options {
  json?: boolean
}

/** Waits until the server's deployment is forgotten. Shows it, and throws CommandFailed, where it cannot be without an operator. */
export async function untilForgotten(
  client: ByoiClient,
  service: string,
  options: Options,
  context: Context,
): Promise<void> {
  const stuck = await wait(async () => {
    const view = await client.deployment(service)
    if (view.state === 'hold') return view
    if (view.endedAt !== null) return view.state === 'error' ? view : 'done'
    return null
  })
  if (stuck !== 'done') fail(stuck, options, context)
}

/** Waits until the rescue with this id is up. The same where it cannot be. */
export async function untilInRescue(
  client: ByoiClient,
  id: string,
  options: Options,
  context: Context,
): Promise<void> {
  const stuck = await wait(async () => {
    const view = await client.deploymentById(id)
    if (view.state === 'hold') return view
    if (view.endedAt !== null) return view.state === 'done' ? 'done' : view
    return null
  })
  if (stuck !== 'done') fail(stuck, options, context)
}

/** Asks until there is an answer; what is gone has been forgotten. */
async function wait(ask: () => Promise<DeploymentView | 'done' | null>): Promise<DeploymentView | 'done'> {
  for (;;) {
    try {
      const found = await ask()
      if (found !== null) return found
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.status === 404) return 'done'
      if (error.status !== 0 && error.status < 500) throw error
    }
    await sleep(pollMs)
  }
}

function fail(stuck: DeploymentView, options: Options, context: Context): never {
  if (options.json) printJson(stuck, context)
  else printView(stuck, context)
  throw new CommandFailed(stuck.state)
}

/** That the server is in rescue, and how to reach it. */
export async function printRescue(
  client: ByoiClient,
  service: string,
  options: Options,
  context: Context,
): Promise<void> {
  const view = await client.currentRescue(service).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return null
    throw error
  })
  const reached = view?.rescue ?? { hostKeys: [], addresses: [] }
  if (options.json) return printJson({ status: 'rescue', servername: service, ...reached }, context)
  context.stdout.write(`${service} is in rescue.\n`)
  for (const address of reached.addresses) context.stdout.write(`ssh:         root@${address}\n`)
  for (const key of reached.hostKeys) context.stdout.write(`host key:    ${key}\n`)
}
