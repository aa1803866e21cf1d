import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { byoi } from '../byoi.ts'
import { startControlPlane } from '../control-plane.ts'
import { takeFolder } from '../folder.ts'
import { LabError } from '../lab-error.ts'
import {
  type AgentWay,
  type BmcKind,
  type ControlRecord,
  type LabFile,
  readLab,
  writeLab,
} from '../lab-file.ts'
import { makeServerPlan, type ServerWish } from '../make-server-plan.ts'
import { isAlive } from '../process-record.ts'
import { enrol, makeDisks, startSupervisor } from '../server.ts'
import { requireTools } from '../tools.ts'
import { endAll } from './down.ts'

export interface UpOptions extends Omit<ServerWish, 'netbootUrl'> {
  /** Of the lab; absolute. */
  folder: string
  servers: number
  bmc: BmcKind
  way: AgentWay
  flavour: 'cloud' | 'generic'
  /** Directory of a ramdisk that is there; undefined: it is built. */
  ramdisk: string | undefined
  account: string
  path: string
}

/**
 * Adds servers to the lab in the folder, which is begun where there is none.
 * @throws {LabError} when something does not start; a lab that was begun does not run then, and its logs stay until `lab down`.
 */
export async function up(options: UpOptions, say: (line: string) => void): Promise<LabFile> {
  await requireTools(options.path)
  await takeFolder(options.folder)
  const before = await readLab(options.folder)
  const lab: LabFile = before ?? { version: 1, control: null, servers: [] }
  try {
    await raise(lab, options, say)
    return lab
  } catch (error) {
    if (before === null) await endAll(lab)
    throw error
  }
}

async function raise(lab: LabFile, options: UpOptions, say: (line: string) => void): Promise<void> {
  const { folder, account, servers } = options
  const control = lab.control ?? (await begin(lab, options, say))
  if (!(await isAlive(control.process))) {
    throw new LabError(`The control plane of the lab in ${folder} has ended: byoi lab down --data ${folder}`)
  }
  for (let count = 0; count < servers; count++) {
    const name = `ns${lab.servers.length + 1}.lab.test`
    const netbootUrl = `${control.provisioningUrl}/netboot/boot.ipxe`
    const plan = await makeServerPlan(name, folder, { ...options, netbootUrl })
    await makeDisks(plan)
    await startSupervisor({ plan, bmc: options.bmc, way: options.way }, async (server) => {
      lab.servers.push(server)
      await writeLab(folder, lab)
    })
    const server = lab.servers.at(-1)
    if (server !== undefined) await enrol(control, server, account)
    say(`${name}: ${plan.firmware}, ${options.bmc}, ${options.way}`)
  }
}

async function begin(lab: LabFile, options: UpOptions, say: (line: string) => void): Promise<ControlRecord> {
  const { folder, account } = options
  const ramdisk = options.ramdisk ?? (await buildRamdisk(folder, options.flavour, say))
  const control = await startControlPlane(folder, ramdisk, async (record) => {
    lab.control = record
    await writeLab(folder, lab)
  })
  say(`control plane: ${control.url}`)
  const conf = await byoi(['key', 'create', '--account', account, '--data', control.data])
  await writeFile(join(folder, 'ovh.conf'), conf, { mode: 0o600 })
  return control
}

/** Quickly packed: it is loaded from this very machine, and holds the agent of this checkout. */
async function buildRamdisk(folder: string, flavour: string, say: (line: string) => void): Promise<string> {
  const out = join(folder, 'ramdisk')
  say(`ramdisk: building the ${flavour} one ...`)
  await byoi(['ramdisk', 'build', '--fast', '--flavour', flavour, '--out', out])
  return out
}
