import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RamdiskFlavour, RamdiskManifest } from '@byoi/contract'
import { Apt } from './debian/apt.ts'
import { DebianFiles } from './debian/files.ts'
import { kernelMetaPackages, packageNames } from './debian/package-names.ts'
import { fetchPackages } from './debian/packages.ts'
import { bundleAgent } from './image/agent-bundle.ts'
import { packInitrd } from './image/initrd.ts'
import type { Kernel } from './image/kernel-modules.ts'
import { makeRootTree } from './image/root-tree.ts'
import { makeIso } from './iso.ts'
import { writeRamdisk } from './write-ramdisk.ts'

/**
 * The kernel drives the first console of each kind; the agent prints to all that are named. The root file system may take more than half
 * of the RAM, which is all that a tmpfs would give. What the kernel notes below a warning would hold up the boot at the speed of a serial
 * line, and so would its tests of its own cryptography; `dmesg` shows the notes.
 */
const kernelWords = 'console=tty0 console=ttyS0,115200 rootfstype=ramfs loglevel=5 cryptomgr.notests'

export interface RamdiskOptions {
  flavour: RamdiskFlavour
  /** Directory for the files; it is made, and what is in it is replaced. */
  out: string
  /** Directory that keeps Debian's packages from build to build. */
  cache: string
  /** Packs quickly and larger. */
  fast: boolean
  /** The agent's main file. */
  entry: string
  /** byoi's release, for the manifest. */
  release: string
  /** Told what is being done, one line at a time. */
  progress: (line: string) => void
}

/**
 * Builds what servers boot into RAM: kernel, initramfs and an ISO of both, from Debian packages, Node and the agent. The same packages
 * and sources give the same bytes.
 *
 * @throws {Error} whose message says what is missing.
 */
export async function buildRamdisk(options: RamdiskOptions): Promise<RamdiskManifest> {
  const { flavour, release, progress } = options
  progress('bundling the agent')
  const bundles = await bundleAgent(options.entry)
  progress('fetching Debian packages')
  const { debian, kernel } = await fetchDebian(options)
  const work = await mkdtemp(join(tmpdir(), 'byoi-ramdisk-'))
  try {
    progress('putting the root file system together')
    const tree = await makeRootTree(flavour, kernel, bundles, debian, work)
    progress('packing it')
    const initrd = packInitrd(tree, options.fast ? 'quick' : 'best')
    progress('making the ISO')
    const vmlinuz = await readFile(join(kernel.root, 'boot', `vmlinuz-${kernel.version}`))
    const isoPath = join(work, 'byoi.iso')
    const iso = await makeIso(isoPath, { vmlinuz, initrd, kernelWords }, debian, work)
    progress(`writing to ${options.out}`)
    const facts = { version: 1, flavour, release, kernel: kernel.version, kernelWords, iso } as const
    const files = { vmlinuz, initrd, iso: isoPath }
    return await writeRamdisk(options.out, files, { ...facts, packages: debian.versions }, debian)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function fetchDebian({ cache, flavour, progress }: RamdiskOptions) {
  const apt = await Apt.open(join(cache, 'apt'), progress)
  const meta = kernelMetaPackages[flavour]
  const name = (await apt.show([meta]))[0]?.depends.find((each) => each.startsWith('linux-image-'))
  if (name === undefined) throw new Error(`Debian's package ${meta} names no kernel.`)
  const debian = new DebianFiles(await fetchPackages(cache, apt, [name, ...packageNames(flavour)]))
  const kernel: Kernel = { version: name.replace('linux-image-', ''), root: debian.path(name) }
  return { debian, kernel }
}
