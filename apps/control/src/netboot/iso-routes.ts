import { bootMediumArchive, joinKernelWords, kernelWordsFile } from '@byoi/contract'
import { hashOfWord } from '../deployments/boot-word.ts'
import { type WorkflowContext } from '../deployments/workflow-context.ts'
import { fileReply } from './file-reply.ts'
import { type Patch } from './patched-file.ts'
import { openBuilt, type Ramdisk, readRamdisk } from './ramdisk.ts'
import { type ProvisioningReply, type ProvisioningRequest, type ProvisioningRoute, reading } from './route.ts'
import { takeMedium } from './take-medium.ts'
import { findBootByMacs, findBootByWord, readMacs, type WaitingBoot, wordOf } from './waiting-boot.ts'

/** UEFI 2.10, section 24.7.3.1: by this type the firmware knows that it is to start from it as from a CD. */
const isoType = 'application/vnd.efi-iso'

/** The ISO of one start of one server: the one that all share, with the medium and the kernel words of this one in their places. */
export const isoRoutes = (context: WorkflowContext, directory: string): ProvisioningRoute[] => [
  {
    name: '/media',
    methods: reading,
    path: /^\/media\/([0-9a-f]{40})\.iso$/,
    answer: async (request) => {
      const boot = await findBootByWord(context, request.parts[0] ?? '')
      const way = boot?.server.agent_boot?.way
      return way === 'virtual-media' || way === 'uefi-http'
        ? await isoFor(context, directory, boot, request)
        : null
    },
  },
  {
    // A firmware that is told by DHCP what to boot knows no secret word: the address of its port must do.
    name: '/netboot/MAC/byoi.iso',
    methods: reading,
    path: /^\/netboot\/((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})\/byoi\.iso$/,
    answer: async (request) => {
      const boot = await findBootByMacs(context, readMacs(request.parts))
      return boot?.server.agent_boot?.way === 'uefi-http'
        ? await isoFor(context, directory, boot, request)
        : null
    },
  },
]

async function isoFor(
  context: WorkflowContext,
  directory: string,
  boot: WaitingBoot | null,
  request: ProvisioningRequest,
): Promise<ProvisioningReply | null> {
  if (boot === null) return null
  const ramdisk = await readRamdisk(directory)
  const patches = request.method === 'HEAD' ? [] : await patchesFor(context, ramdisk, boot, request.address)
  if (patches === null) return null
  const opened = await openBuilt(ramdisk, ramdisk.manifest.files.iso)
  // Of this start alone, and it does not tell the word.
  const etag = `"${hashOfWord(`etag ${wordOf(context, boot)}`).slice(0, 32)}"`
  return fileReply(request, opened, { etag, type: isoType, patches })
}

/** null: the medium is not for this address. */
async function patchesFor(
  context: WorkflowContext,
  { manifest }: Ramdisk,
  boot: WaitingBoot,
  address: string,
): Promise<Patch[] | null> {
  const medium = await takeMedium(context, boot, address, 'to-one-reader')
  if (medium === null) return null
  const { iso, kernelWords } = manifest
  const words = joinKernelWords(kernelWords, boot.server.agent_boot?.kernelWords ?? '')
  return [
    { offset: iso.medium.offset, bytes: bootMediumArchive(medium) },
    { offset: iso.words.offset, bytes: kernelWordsFile(words, iso.words.length) },
  ]
}
