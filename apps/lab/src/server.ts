import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { byoi } from './byoi.ts'
import { failWithLog, startDetached } from './detached.ts'
import { type ControlRecord, type ServerRecord } from './lab-file.ts'
import { recordOf } from './process-record.ts'
import { type ServerPlan } from './server-plan.ts'

const supervisorMain = fileURLToPath(new URL('supervisor-main.ts', import.meta.url))

/** Makes the folder and the empty disks of a server. */
export async function makeDisks(plan: ServerPlan): Promise<void> {
  await mkdir(plan.folder, { mode: 0o700 })
  for (const { path, size } of plan.disks) {
    await writeFile(path, '', { mode: 0o600 })
    await truncate(path, size)
  }
}

/**
 * Starts a server's supervisor; the server itself is off.
 * @param started Called as soon as the process is there.
 * @throws {LabError} when its BMC cannot be called.
 */
export async function startSupervisor(
  server: Omit<ServerRecord, 'supervisor'>,
  started: (server: ServerRecord) => Promise<void>,
): Promise<void> {
  const { plan } = server
  const planPath = join(plan.folder, 'server.json')
  await writeFile(planPath, JSON.stringify(plan), { mode: 0o600 })
  const log = join(plan.folder, 'supervisor.log')
  const child = startDetached(process.execPath, [supervisorMain, planPath], log, true)
  const ready = new Promise<boolean>((resolve) => {
    child.once('message', () => resolve(true))
    child.once('exit', () => resolve(false))
  })
  await started({ ...server, supervisor: await recordOf(child.pid) })
  if (!(await ready)) await failWithLog(`The BMC of ${plan.name} did not start`, log)
  child.unref()
}

/** Tells the control plane of the server, as an operator tells it of a real one. */
export async function enrol(control: ControlRecord, server: ServerRecord, account: string): Promise<void> {
  const { plan, bmc, way } = server
  const ipmi = `127.0.0.1:${plan.ports.ipmi}`
  const byBmc = {
    redfish: [
      '--bmc-address',
      `https://127.0.0.1:${plan.ports.redfish}`,
      '--console',
      'ipmi',
      '--console-address',
      ipmi,
    ],
    // Nobody else's BMC needs to be spared here, and ipmi_sim has no newer suite.
    ipmi: ['--bmc-address', ipmi, '--command-interval', '100', '--cipher-suite', '3'],
  }
  const args = [
    ['server', 'add', plan.name, '--data', control.data, '--account', account, '--boot', plan.firmware],
    ['--bmc', bmc, ...byBmc[bmc], '--bmc-user', plan.bmc.user],
    ['--agent-boot', way, '--mac', plan.mac],
    // The second disk is somebody else's.
    ['--disk-serial', plan.disks[0]?.serial ?? '', '--disk-size', String(plan.disks[0]?.size)],
  ].flat()
  await byoi(args, { BYOI_BMC_PASSWORD: plan.bmc.password })
}
