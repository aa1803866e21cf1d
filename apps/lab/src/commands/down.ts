import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from '../lab-error.ts'
import { readLab } from '../lab-file.ts'
import { endProcess } from '../process-record.ts'

/** ms for a supervisor to turn its server off, and for the control plane to close its database. */
const patienceMs = 30_000

/**
 * Ends everything that runs in the lab.
 * @param options `keep`: disks, logs and the control plane's state stay; else the folder is removed.
 * @throws {LabError} when there is no lab in the folder.
 */
export async function takeDown(folder: string, options: { keep: boolean }): Promise<void> {
  const lab = await readLab(folder)
  if (lab === null) throw new LabError(`There is no lab in ${folder}.`)
  // The control plane first: servers that go off would be turned on again by it.
  if (lab.control !== null) await endProcess(lab.control.process, patienceMs)
  await Promise.all(lab.servers.map(async ({ supervisor }) => await endProcess(supervisor, patienceMs)))
  if (options.keep) await rm(join(folder, 'lab.json'))
  else await rm(folder, { recursive: true, force: true })
}
