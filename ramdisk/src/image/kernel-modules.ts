import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { dirname, join, matchesGlob } from 'node:path'
import type { DebianFiles } from '../debian/files.ts'
import { chosenModules } from './chosen-modules.ts'
import type { Tree } from './tree.ts'

/** Read by depmod beside the modules. */
const orderFiles = ['modules.order', 'modules.builtin', 'modules.builtin.modinfo']
/** What modprobe reads of what depmod writes. */
const indexes = [
  'modules.alias.bin',
  'modules.builtin.alias.bin',
  'modules.builtin.bin',
  'modules.dep.bin',
  'modules.devname',
  'modules.softdep',
  'modules.symbols.bin',
]

export interface Kernel {
  /** As `uname -r` prints it. */
  version: string
  /** Directory that the kernel's package is unpacked in. */
  root: string
}

/** Adds the chosen modules, those that they depend on, and an index over exactly these. `work` is a directory for files in between. */
export async function addModules(
  tree: Tree,
  { version, root }: Kernel,
  debian: DebianFiles,
  work: string,
): Promise<void> {
  const folder = join('lib/modules', version)
  const shown = await debian.run('depmod', ['--show', '--basedir', root, version])
  const dependencies = parseDependencies(shown.toString())
  const paths = closure(dependencies, [...dependencies.keys()].filter(isChosen))

  const chosen = join(work, 'chosen', folder)
  for (const path of [...paths, ...orderFiles]) {
    await mkdir(dirname(join(chosen, path)), { recursive: true })
    await copyFile(join(root, folder, path), join(chosen, path))
  }
  await debian.run('depmod', ['--basedir', join(work, 'chosen'), version])
  for (const path of [...paths, ...indexes]) tree.file(join(folder, path), await readFile(join(chosen, path)))
}

export const isChosen = (path: string): boolean =>
  chosenModules.some((glob) => matchesGlob(path, `kernel/${glob}`) || matchesGlob(path, `kernel/${glob}/**`))

/** Each module's path and the paths of the modules that it needs, from lines as of modules.dep(5); others are passed over. */
export function parseDependencies(text: string): Map<string, string[]> {
  return new Map(
    text
      .split('\n')
      .filter((line) => line.startsWith('kernel/'))
      .map((line) => {
        const [path = '', needs = ''] = line.split(':')
        return [path, needs.split(' ').filter((each) => each !== '')]
      }),
  )
}

/** The wanted modules and all that they need, sorted. */
export function closure(dependencies: ReadonlyMap<string, string[]>, wanted: readonly string[]): string[] {
  const all = new Set<string>()
  const add = (path: string): void => {
    if (all.has(path)) return
    all.add(path)
    for (const each of dependencies.get(path) ?? []) add(each)
  }
  for (const path of wanted) add(path)
  return [...all].toSorted()
}
