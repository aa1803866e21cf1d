import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from '../lab-error.ts'
import { type LabFile, readLab } from '../lab-file.ts'
import { endProcess } from '../process-record.ts'

/** ms for a supervisor to turn its server off, and for the control plane to close its database. */
const patienceMs = 30_000

/** Ends every process of the lab. Idempotent. */
export async function endAll({ control, servers }: LabFile): Promise<void> {
  // The control plane first: it would turn servers on again that go off.
  if (control !== null) await endProcess(control.process, patienceMs)
  await Promise.all(servers.map(async ({ supervisor }) => await endProcess(supervisor, patienceMs)))
}

/**
 * Ends everything that runs in the lab.
 * @param options `keep`: disks, logs and the control plane's state stay; else the folder is removed.
 * @throws {LabError} when there is no lab in the folder.
 */
export async function takeDown(folder: string, options: { keep: boolean }): Promise<void> {
  const lab = await readLab(folder)
  if (lab === null) throw new LabError(`There is no lab in ${folder}.`)
  await endAll(lab)
  if (options.keep) await rm(join(folder, 'lab.json'))
  else await rm(folder, { recursive: true, force: true })
}
