import { type ByoiStatus, type DeploymentView, type Phase } from '@byoi/contract'

/** What a caller of OVHcloud's route reads while a phase goes on. Before the agent's work it is OVHcloud's own word. */
const words: Record<Phase, string> = {
  accept: 'starting',
  'claim-server': 'starting',
  'preflight-bmc': 'starting',
  'boot-from-agent': 'starting',
  'power-on': 'starting',
  'await-agent': 'starting',
  'preflight-disk': 'checking image and disk',
  write: 'downloading and writing the image',
  verify: 'verifying the disk',
  'move-gpt': 'moving the backup GPT',
  'config-drive': 'writing the config drive',
  publish: 'making the disk bootable',
  'boot-from-disk': 'setting the boot device to disk',
  reset: 'rebooting',
  close: 'finishing',
}

/** `dedicated.server.ByoiStatus` of a server's newest deployment; null when there is nothing to tell. */
export function ovhStatus(view: DeploymentView | null): ByoiStatus | null {
  if (view === null) return null
  const { checksum, serviceName: servername } = view
  const tell = (status: ByoiStatus['status'], message: string): ByoiStatus => ({
    status,
    message,
    checksum,
    servername,
  })
  if (view.kind === 'rescue' || view.state === 'cancelled') {
    return view.endedAt === null ? tell('doing', 'cancelling') : null
  }
  if (view.state === 'error') return tell('error', view.error?.message ?? '')
  if (view.state === 'done') return tell('done', 'done')
  if (view.state === 'hold') return tell('doing', 'on hold: an operator must look at the server')
  return tell('doing', withPercent(words[view.phase], view))
}

const withPercent = (text: string, { phase, percent }: DeploymentView): string =>
  phase === 'write' && percent !== null ? `${text}: ${Math.floor(percent)} %` : text
