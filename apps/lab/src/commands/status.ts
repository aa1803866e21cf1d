import { LabError } from '../lab-error.ts'
import { askState } from '../control-socket.ts'
import { type AgentWay, type BmcKind, readLab } from '../lab-file.ts'
import { isAlive } from '../process-record.ts'
import { type MachineState, socketsOf } from '../qemu-machine.ts'
import { type ServerPlan } from '../server-plan.ts'

export interface ServerStatus {
  plan: Omit<ServerPlan, 'bmc'>
  bmc: BmcKind
  way: AgentWay
  /** null: its supervisor has ended. */
  machine: MachineState | null
}

export interface LabStatus {
  control: { url: string; data: string; running: boolean } | null
  servers: ServerStatus[]
}

/** What runs in the lab; without the BMCs' passwords. @throws {LabError} when there is no lab in the folder. */
export async function labStatus(folder: string): Promise<LabStatus> {
  const lab = await readLab(folder)
  if (lab === null) throw new LabError(`There is no lab in ${folder}.`)
  const { control } = lab
  return {
    control: control && { url: control.url, data: control.data, running: await isAlive(control.process) },
    servers: await Promise.all(
      lab.servers.map(async ({ plan: { bmc: _secret, ...plan }, bmc, way }) => ({
        plan,
        bmc,
        way,
        machine: await askState(socketsOf(plan.folder).control),
      })),
    ),
  }
}
