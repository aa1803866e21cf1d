import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** Inputs that a parser was once wrong about, a folder for each parser; tests read all of them. */
const FOLDER = join(import.meta.dirname, '../../testdata/fuzz')

/** Returns the file's path. Its name is made of its content, so that an input is kept once. */
export function keepInput(parser: string, input: Buffer): string {
  const folder = join(FOLDER, parser)
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${createHash('sha256').update(input).digest('hex').slice(0, 16)}.bin`)
  if (!existsSync(path)) writeFileSync(path, input)
  return path
}

export function keptInputs(parser: string): { name: string; input: Buffer }[] {
  return globSync(join(FOLDER, parser, '*.bin'))
    .toSorted()
    .map((path) => ({ name: basename(path), input: readFileSync(path) }))
}
