import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DebianFiles, libraryDirectories } from '../debian/files.ts'
import { isElf, neededLibraries } from './elf.ts'
import type { Tree } from './tree.ts'

/** Adds the shared libraries that the programs in the tree ask for, and those that these ask for. */
export async function addLibraries(tree: Tree, debian: DebianFiles): Promise<void> {
  // Where every program names its loader.
  tree.link('lib64/ld-linux-x86-64.so.2', libraryPath('ld-linux-x86-64.so.2').replace(/^usr\/lib\//, ''))
  for (let missing = missingLibraries(tree); missing.length > 0; missing = missingLibraries(tree))
    for (const name of missing) tree.file(libraryPath(name), await readFile(debian.library(name)), 0o755)
}

/** Names of the libraries that a program or library of the tree asks for and that are not in it. */
export function missingLibraries(tree: Tree): string[] {
  const names = new Set<string>()
  for (const { path, data } of tree.files()) {
    if (path.endsWith('.ko') || !isElf(data)) continue
    for (const name of neededLibraries(data)) if (!tree.has(libraryPath(name))) names.add(name)
  }
  return [...names].toSorted()
}

const libraryPath = (name: string): string => join(libraryDirectories[0] as string, name)
