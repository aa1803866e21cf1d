import { type Phase } from '@byoi/contract'
import { type Step } from './step.ts'
import { accept } from './steps/accept.ts'
import { agentWorks } from './steps/agent-works.ts'
import { awaitAgent } from './steps/await-agent.ts'
import { bootFromAgent } from './steps/boot-from-agent.ts'
import { bootFromDisk } from './steps/boot-from-disk.ts'
import { claimServer } from './steps/claim-server.ts'
import { close } from './steps/close.ts'
import { powerOn } from './steps/power-on.ts'
import { preflightBmc } from './steps/preflight-bmc.ts'
import { reset } from './steps/reset.ts'

/**
 * The story of a deployment, in order. A rescue goes the same way with a rescue order, from await-agent straight to close. A
 * lost agent leads back to claim-server, a failure to steps/stop-server.ts from anywhere.
 */
export const workflow: Record<Phase, Step> = {
  accept,
  'claim-server': claimServer,
  'preflight-bmc': preflightBmc,
  'boot-from-agent': bootFromAgent,
  'power-on': powerOn,
  'await-agent': awaitAgent, // left by the agent's join
  'preflight-disk': agentWorks, // these six by its reports
  write: agentWorks,
  verify: agentWorks,
  'move-gpt': agentWorks,
  'config-drive': agentWorks,
  publish: agentWorks, // entered only by its permit
  'boot-from-disk': bootFromDisk,
  reset,
  close,
}
