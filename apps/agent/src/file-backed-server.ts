import type { AgentServer } from './agent-server.ts'
import { type GivenDisk, findDisks } from './disks.ts'

/**
 * A server that is a file or a block device of the machine the agent runs on: no firmware to tell, and nothing to log in to. Rejects
 * as `findDisks` does.
 */
export async function fileBackedServer(disk: GivenDisk): Promise<AgentServer> {
  return {
    disks: await findDisks(disk),
    machine: null,
    afterPublish: () => Promise.resolve([]),
    startRescue: () => Promise.resolve({ hostKeys: [], addresses: [] }),
    findings: () => Promise.resolve([]),
    staysMs: 0,
  }
}
