/**
 * The agent in the RAM of a real server, started by the ramdisk's init with nothing but a kernel, drivers and the boot medium. Whenever it ends,
 * whatever the reason, init turns the server off, and the control plane decides what comes next.
 */
import { rm } from 'node:fs/promises'
import { type BootMedium, bootMediumPath } from '@byoi/contract'
import { deployImage } from '@byoi/imaging'
import { agentPatienceMs, runAgent } from '../agent.ts'
import { readBootMedium } from '../boot-medium.ts'
import { sentenceOf } from '../log.ts'
import { setClock } from './clock.ts'
import { logToConsole as log } from './console-log.ts'
import type { Link } from './link.ts'
import { bringUpNetwork } from './network.ts'
import { ramServer } from './ram-server.ts'

/** RAM that nothing outlives. */
const directory = '/run/byoi'

/** The life of the agent, from a boot medium that has been taken. Returns however it ends; a failure is in the log. */
async function live(medium: BootMedium): Promise<void> {
  const ending = new AbortController()
  const { signal } = ending
  let network: Link | undefined
  try {
    await setClock(medium.time, log)
    network = await bringUpNetwork({
      config: medium.network,
      controlUrl: medium.controlUrl,
      patienceMs: agentPatienceMs,
      log,
      signal,
      files: { directory, resolvConf: '/etc/resolv.conf' },
    })
    const server = await ramServer({ name: medium.server, sysfs: '/sys', directory, log, signal })
    await runAgent({ medium, server, engine: deployImage, log, patienceMs: agentPatienceMs, signal })
  } catch (error) {
    log(`Failed: ${sentenceOf(error)}`)
  } finally {
    network?.stop()
    ending.abort()
  }
}

/** null where there is none; the log says why. */
async function takeMedium(): Promise<BootMedium | null> {
  try {
    const medium = await readBootMedium(bootMediumPath)
    // Who logs in to the rescue system later need not find the secret.
    await rm(bootMediumPath)
    return medium
  } catch (error) {
    log(`Failed: ${sentenceOf(error)}`)
    return null
  }
}

log('The agent is running.')
const medium = await takeMedium()
if (medium !== null) {
  await live(medium)
  log('The agent ends; the server turns itself off.')
  // As the command poweroff tells init: a thread that hangs in a dead disk would keep this process from ending.
  process.kill(1, 'SIGUSR2')
}
// Not left to the event loop: a socket or a worker that is still closing must not keep the server on.
process.exit()
