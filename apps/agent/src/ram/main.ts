/**
 * The agent in the RAM of a real server, started by the ramdisk's init with nothing but a kernel, drivers and the boot medium. Whenever it ends,
 * whatever the reason, init turns the server off, and the control plane decides what comes next.
 */
import { rm } from 'node:fs/promises'
import { deployImage } from '@byoi/imaging'
import { agentPatienceMs, runAgent } from '../agent.ts'
import { readBootMedium } from '../boot-medium.ts'
import { sentenceOf } from '../log.ts'
import { setClock } from './clock.ts'
import { logToConsole as log } from './console-log.ts'
import { bringUpNetwork } from './network.ts'
import { ramServer } from './ram-server.ts'

/** The control plane puts it there, as the last archive of the ramdisk. */
const mediumPath = '/etc/byoi/medium.json'
/** RAM that nothing outlives. */
const directory = '/run/byoi'

async function main(): Promise<void> {
  const ending = new AbortController()
  const { signal } = ending
  const medium = await readBootMedium(mediumPath)
  // Who logs in to the rescue system later need not find the secret.
  await rm(mediumPath)
  await setClock(medium.time, log)
  const network = await bringUpNetwork({
    config: medium.network,
    controlUrl: medium.controlUrl,
    patienceMs: agentPatienceMs,
    log,
    signal,
    files: { directory, resolvConf: '/etc/resolv.conf' },
  })
  try {
    const server = await ramServer({ name: medium.server, directory, log, signal })
    await runAgent({ medium, server, engine: deployImage, log, patienceMs: agentPatienceMs, signal })
  } finally {
    network.stop()
    ending.abort()
  }
}

log('The agent is running.')
await main().catch((error: unknown) => log(`Failed: ${sentenceOf(error)}`))
log('The agent ends; the server turns itself off.')
// Not left to the event loop: a socket or a worker that is still closing must not keep the server on.
process.exit()
