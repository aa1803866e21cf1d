import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ProcessRecord } from './process-record.ts'
import { type ServerPlan } from './server-plan.ts'

/** How the control plane calls a server's BMC. */
export const bmcKinds = ['redfish', 'ipmi'] as const
export type BmcKind = (typeof bmcKinds)[number]

/** How the agent gets into a server's RAM. */
export const agentWays = ['netboot', 'virtual-media'] as const
export type AgentWay = (typeof agentWays)[number]

export interface ControlRecord {
  process: ProcessRecord
  /** Its `--data`. */
  data: string
  /** `https://127.0.0.1:PORT` */
  url: string
  /** Where servers find their netboot script, as they see it. */
  provisioningUrl: string
}

export interface ServerRecord {
  plan: ServerPlan
  bmc: BmcKind
  way: AgentWay
  supervisor: ProcessRecord
}

/** What runs in a lab: `lab.json` in its folder, for its owner only, because it holds the passwords of the BMCs. */
export interface LabFile {
  version: 1
  control: ControlRecord | null
  servers: ServerRecord[]
}

const pathIn = (folder: string): string => join(folder, 'lab.json')

/** null: there is no lab in the folder. */
export async function readLab(folder: string): Promise<LabFile | null> {
  const text = await readFile(pathIn(folder), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  return text === null ? null : (JSON.parse(text) as LabFile)
}

/** Written before anything is waited for, so that `lab down` finds what a `lab up` that was killed has started. */
export async function writeLab(folder: string, lab: LabFile): Promise<void> {
  const temporary = `${pathIn(folder)}.new`
  await writeFile(temporary, `${JSON.stringify(lab, null, 2)}\n`, { mode: 0o600 })
  await rename(temporary, pathIn(folder))
}
