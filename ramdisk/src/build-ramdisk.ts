import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { BuiltFile, RamdiskFlavour, RamdiskManifest } from '@byoi/contract'
import { Apt } from './debian/apt.ts'
import { DebianFiles } from './debian/files.ts'
import { fetchPackages } from './debian/packages.ts'
import { bundleAgent } from './image/agent-bundle.ts'
import { commandsOf, libraryPackages } from './image/commands.ts'
import { packInitrd } from './image/initrd.ts'
import type { Kernel } from './image/kernel-modules.ts'
import { makeRootTree } from './image/root-tree.ts'
import { makeIso } from './iso.ts'

const metaPackages = { cloud: 'linux-image-cloud-amd64', generic: 'linux-image-amd64' }

/**
 * The kernel drives the first console of each kind; the agent prints to all that are named. The root file system may take more than half
 * of the RAM, which is all that a tmpfs would give. What the kernel notes below a warning would hold up the boot at the speed of a serial
 * line, and so would its tests of its own cryptography; `dmesg` shows the notes.
 */
const kernelWords = 'console=tty0 console=ttyS0,115200 rootfstype=ramfs loglevel=5 cryptomgr.notests'

const otherPackages = ['busybox', 'ca-certificates', 'openssh-sftp-server']
const isoPackages = [
  'xorriso',
  'libisoburn1',
  'libburn4',
  'libisofs6',
  'libjte2',
  'libbz2-1.0',
  'mtools',
  'grub-common',
  'grub-pc-bin',
  'grub-efi-amd64-signed',
  'shim-signed',
]
/** iPXE for firmware that knows PXE only: where Debian's package has the files. */
const netbootFiles = ['usr/lib/ipxe/undionly.kpxe', 'usr/lib/ipxe/snponly.efi', 'boot/ipxe.efi']

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
  const { flavour, out, progress } = options
  progress('bundling the agent')
  const bundles = await bundleAgent(options.entry)
  progress('fetching Debian packages')
  const { debian, kernelPackage } = await debianFiles(options.cache, flavour)
  const kernel: Kernel = {
    version: kernelPackage.replace('linux-image-', ''),
    root: debian.path(kernelPackage),
  }
  const work = await mkdtemp(join(tmpdir(), 'byoi-ramdisk-'))
  try {
    progress('putting the root file system together')
    const tree = await makeRootTree(flavour, kernel, bundles, debian, work)
    progress('packing it')
    const initrd = packInitrd(tree, options.fast ? 'quick' : 'best')
    const vmlinuz = await readFile(join(kernel.root, 'boot', `vmlinuz-${kernel.version}`))
    progress('making the ISO')
    const isoPath = join(work, 'byoi.iso')
    const iso = await makeIso(isoPath, { vmlinuz, initrd, kernelWords }, debian, work)

    progress(`writing to ${out}`)
    await mkdir(join(out, 'ipxe'), { recursive: true })
    await rm(join(out, 'manifest.json'), { force: true })
    const write = (name: string, data: Buffer) => writeBuilt(out, name, data)
    const manifest: RamdiskManifest = {
      version: 1,
      flavour,
      release: options.release,
      kernel: kernel.version,
      kernelWords,
      files: {
        vmlinuz: await write('vmlinuz', vmlinuz),
        initrd: await write('initrd', initrd),
        iso: await write('byoi.iso', await readFile(isoPath)),
      },
      iso,
      packages: debian.versions,
    }
    for (const name of netbootFiles)
      await copyFile(debian.path('ipxe', name), join(out, 'ipxe', basename(name)))
    await writeFile(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    return manifest
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function debianFiles(cache: string, flavour: RamdiskFlavour) {
  const apt = await Apt.open(join(cache, 'apt'))
  const meta = metaPackages[flavour]
  const kernelPackage = (await apt.show([meta]))[0]?.depends.find((name) => name.startsWith('linux-image-'))
  if (kernelPackage === undefined) throw new Error(`Debian's package ${meta} names no kernel.`)
  const names = [
    kernelPackage,
    ...Object.keys(commandsOf(flavour)),
    ...libraryPackages,
    ...otherPackages,
    ...isoPackages,
    'ipxe',
  ]
  return { debian: new DebianFiles(await fetchPackages(cache, apt, names)), kernelPackage }
}

async function writeBuilt(out: string, name: string, data: Buffer): Promise<BuiltFile> {
  await writeFile(join(out, name), data)
  return { name, size: data.length, sha256: createHash('sha256').update(data).digest('hex') }
}
