/** The demo's own folder: emptied at each start, one demo at a time. */
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processesOf } from '../control-plane.ts'
import { defaultCache } from '../debian-image.ts'

/** Outside of home directories where possible: the database runs as another user than root. */
const defaultFolder = (): string =>
  process.getuid?.() === 0 ? '/var/lib/byoi-demo' : join(defaultCache(), 'demo')

/** Names the process of the running demo, and marks the folder as one that may be emptied. */
const marker = 'demo.pid'

const isDemo = (pid: string): boolean => {
  try {
    return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('demo.ts')
  } catch {
    return false
  }
}

/** Ends what a demo that was killed has left running. */
async function endLeftovers(folder: string): Promise<void> {
  for (let tries = 0; processesOf(folder).length > 0 && tries < 100; tries++) {
    for (const pid of processesOf(folder)) process.kill(pid, tries < 40 ? 'SIGINT' : 'SIGKILL')
    await sleep(50)
  }
}

/**
 * Gives the empty folder.
 * @throws {Error} when a demo is running, or the folder holds something that is not the demo's.
 */
export async function freshFolder(folder = defaultFolder()): Promise<string> {
  await mkdir(folder, { recursive: true })
  const held = await readdir(folder)
  const marked = held.includes(marker)
  if (held.length > 0 && !marked)
    throw new Error(`${folder} holds files that are not the demo's; move them away`)
  const pid = marked ? readFileSync(join(folder, marker), 'utf8').trim() : ''
  if (pid !== String(process.pid) && isDemo(pid)) {
    throw new Error(`a demo is running already (process ${pid}); stop it with Ctrl-C there, or: kill ${pid}`)
  }
  await writeFile(join(folder, marker), `${process.pid}\n`)
  await endLeftovers(folder)
  for (const name of await readdir(folder)) {
    if (name !== marker) await rm(join(folder, name), { recursive: true, force: true })
  }
  await chmod(folder, 0o755)
  return folder
}

/** After the demo nothing claims the folder any more; its logs stay. */
export async function leaveFolder(folder: string): Promise<void> {
  if (existsSync(join(folder, marker))) await writeFile(join(folder, marker), '')
}
