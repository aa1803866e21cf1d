import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RamdiskFlavour } from '@byoi/contract'
import type { DebianFiles } from '../debian/files.ts'
import type { Bundles } from './agent-bundle.ts'
import { addCommands } from './commands.ts'
import { addModules, type Kernel } from './kernel-modules.ts'
import { addLibraries } from './libraries.ts'
import { smallNode } from './node-binary.ts'
import { Tree } from './tree.ts'

const here = join(import.meta.dirname, '../..')

/** The root file system of a server in RAM. `work` is a directory for files in between. */
export async function makeRootTree(
  flavour: RamdiskFlavour,
  kernel: Kernel,
  bundles: Bundles,
  debian: DebianFiles,
  work: string,
): Promise<Tree> {
  const tree = new Tree()
  addSkeleton(tree)
  tree.file('init', await readFile(join(here, 'init')), 0o755)
  tree.file('usr/lib/byoi/hotplug', await readFile(join(here, 'hotplug')), 0o755)
  for (const [name, code] of Object.entries(bundles)) tree.file(join('usr/lib/byoi', name), code)
  tree.file('usr/bin/node', await smallNode(), 0o755)
  await addCommands(tree, debian, flavour)
  await addSftp(tree, debian)
  await addLibraries(tree, debian)
  await addModules(tree, kernel, debian, work)
  tree.file('etc/ssl/certs/ca-certificates.crt', await certificateAuthorities(debian))
  return tree
}

/** Files of a few lines. */
const settings = {
  'etc/group': 'root:x:0:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  // No daemon watches snapshots here.
  'etc/lvm/lvm.conf': 'activation {\n  monitoring = 0\n}\n',
  // Without it the module makes a bond0 of its own, and the name is taken.
  'etc/modprobe.d/byoi.conf': 'options bonding max_bonds=0\n',
  'etc/passwd': 'root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/:/bin/false\n',
  // There is no udev: the device mapper's library makes the nodes itself.
  'etc/profile': "export PATH=/usr/bin DM_DISABLE_UDEV=1 PS1='\\u@\\h:\\w\\$ '\n",
  'etc/resolv.conf': '',
  'etc/shells': '/bin/sh\n',
}

function addSkeleton(tree: Tree): void {
  for (const path of ['dev', 'etc/byoi', 'mnt', 'proc', 'run', 'sys', 'var/lib', 'var/log'])
    tree.directory(path)
  tree.directory('root', 0o700)
  tree.directory('tmp', 0o1777)
  tree.link('etc/mtab', '../proc/self/mounts')
  tree.link('var/run', '../run')
  // The kernel opens the first process's standard input and output before anything is mounted.
  tree.device('dev/console', 5, 1)
  tree.device('dev/null', 1, 3, 0o666)
  for (const [path, text] of Object.entries(settings)) tree.file(path, text)
}

/** Where dropbear looks for it. */
async function addSftp(tree: Tree, debian: DebianFiles): Promise<void> {
  const server = debian.path('openssh-sftp-server', 'usr/lib/openssh/sftp-server')
  tree.file('usr/lib/sftp-server', await readFile(server), 0o755)
}

/** Mozilla's authorities, joined as update-ca-certificates joins them. */
async function certificateAuthorities(debian: DebianFiles): Promise<string> {
  const folder = debian.path('ca-certificates', 'usr/share/ca-certificates/mozilla')
  const names = (await readdir(folder)).toSorted()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.map((text) => `${text.trimEnd()}\n`).join('')
}
