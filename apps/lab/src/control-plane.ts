import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { launcher } from './byoi.ts'
import { failWithLog, startDetached } from './detached.ts'
import { freePort } from './free-port.ts'
import { type ControlRecord } from './lab-file.ts'
import { isAlive, recordOf } from './process-record.ts'

const readyMs = 120_000
/** The host's loopback as servers see it, see `networkArguments`. */
const hostInGuest = '10.0.2.2'

/**
 * Starts a control plane whose addresses suit the lab's servers and BMCs.
 * @param ramdisk Directory of what `byoi ramdisk build` made.
 * @param started Called as soon as the process is there.
 * @throws {LabError} when it does not serve.
 */
export async function startControlPlane(
  folder: string,
  ramdisk: string,
  started: (control: ControlRecord) => Promise<void>,
): Promise<ControlRecord> {
  const [api, provisioning] = [await freePort('tcp'), await freePort('tcp')]
  const data = join(folder, 'control')
  const log = join(folder, 'control.log')
  const provisioningUrl = `http://${hostInGuest}:${provisioning}`
  const args = [
    ['up', '--data', data, '--ramdisk', ramdisk, '--phone-home'],
    ['--listen', `127.0.0.1:${api}`, '--agent-url', `https://${hostInGuest}:${api}`],
    ['--provisioning', `127.0.0.1:${provisioning}`, '--provisioning-url', provisioningUrl],
    // BMCs are processes of this machine.
    ['--media-url', `http://127.0.0.1:${provisioning}`],
  ].flat()
  const child = startDetached(launcher, args, log)
  const url = `https://127.0.0.1:${api}`
  const control = { process: await recordOf(child.pid), data, url, provisioningUrl }
  await started(control)
  for (const end = Date.now() + readyMs; Date.now() < end; await sleep(100)) {
    if (/^ready /m.test(await readFile(log, 'utf8'))) {
      child.unref()
      return control
    }
    if (!(await isAlive(control.process))) return await failWithLog('The control plane did not start', log)
  }
  return await failWithLog(`The control plane did not serve within ${readyMs / 1000} s`, log)
}
