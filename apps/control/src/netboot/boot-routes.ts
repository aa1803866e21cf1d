import { bootMediumArchive, bootMediumBytes, joinKernelWords } from '@byoi/contract'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { agentScript, askScript, nothingScript } from './boot-script.ts'
import { fileReply } from './file-reply.ts'
import { ipxePrograms, openBuilt, openIpxe, readRamdisk } from './ramdisk.ts'
import {
  type ProvisioningReply,
  type ProvisioningRequest,
  type ProvisioningRoute,
  reading,
  textReply,
} from './route.ts'
import { takeMedium } from './take-medium.ts'
import { findBootByMacs, findBootByWord, readMacs, wordOf } from './waiting-boot.ts'

const binary = 'application/octet-stream'

/** What iPXE fetches: a script, kernel and initrd, and last the boot medium. `directory`: of the ramdisk. */
export const bootRoutes = (context: WorkflowContext, directory: string): ProvisioningRoute[] => [
  {
    name: '/netboot/boot.ipxe',
    methods: reading,
    path: /^\/netboot\/boot\.ipxe$/,
    answer: async ({ query }) =>
      textReply(
        query.size === 0 ? askScript : await scriptFor(context, directory, readMacs([...query.values()])),
      ),
  },
  ...(['vmlinuz', 'initrd'] as const).map(
    (name): ProvisioningRoute => ({
      name: `/netboot/${name}`,
      methods: reading,
      path: new RegExp(`^/netboot/${name}$`),
      answer: async (request) => {
        const ramdisk = await readRamdisk(directory)
        const built = ramdisk.manifest.files[name]
        const facts = { etag: `"${built.sha256}"`, type: binary }
        return fileReply(request, await openBuilt(ramdisk, built), facts)
      },
    }),
  ),
  ...ipxePrograms.map(
    (name): ProvisioningRoute => ({
      name: `/netboot/ipxe/${name}`,
      methods: reading,
      path: new RegExp(`^/netboot/ipxe/${name.replace('.', String.raw`\.`)}$`),
      answer: async (request) => {
        const opened = await openIpxe(directory, name)
        const etag = `"${opened.size}-${opened.modified.getTime()}"`
        const type = name.endsWith('.efi') ? 'application/efi' : binary
        return fileReply(request, opened, { etag, type })
      },
    }),
  ),
  {
    name: '/netboot/medium',
    methods: reading,
    path: /^\/netboot\/medium\/([0-9a-f]{40})$/,
    answer: async (request) => await mediumFor(context, request),
  },
]

async function scriptFor(context: WorkflowContext, directory: string, macs: string[]): Promise<string> {
  const boot = await findBootByMacs(context, macs)
  const { agent_boot: agentBoot, service_name: server } = boot?.server ?? {}
  if (boot === null || agentBoot?.way !== 'netboot' || server === undefined) {
    return nothingScript('no agent is to be started on this server now')
  }
  if (boot.secret.fetched_at !== null) return nothingScript('the agent of this server was started already')
  const { manifest } = await readRamdisk(directory)
  const words = joinKernelWords(manifest.kernelWords, agentBoot.kernelWords)
  return agentScript({ server, words, word: wordOf(context, boot) })
}

async function mediumFor(
  context: WorkflowContext,
  { method, parts: [word = ''], address }: ProvisioningRequest,
): Promise<ProvisioningReply | null> {
  const boot = await findBootByWord(context, word)
  if (boot?.server.agent_boot?.way !== 'netboot') return null
  const headers = { 'Content-Type': binary, 'Content-Length': bootMediumBytes }
  // A question about it takes nothing away.
  if (method === 'HEAD') return boot.secret.fetched_at === null ? { status: 200, headers, body: null } : null
  const medium = await takeMedium(context, boot, address, 'once')
  return medium === null ? null : { status: 200, headers, body: bootMediumArchive(medium) }
}
