/** A copy of the image engine in which every mutant is built in and none is switched on. */
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Instrumenter } from '@stryker-mutator/instrumenter'

const root = join(import.meta.dirname, '../..')
const SOURCE = 'packages/imaging/src'
/** What is mutated, by folder: the readers of images and of partition tables. */
const FOLDERS = ['decode', 'table']

export interface Mutant {
  /** By which the code switches it on. */
  id: string
  /** Within the repository. */
  file: string
  /** Where it begins: line and column from 1. */
  line: number
  column: number
  /** Name of the operator, as Stryker calls it. */
  operator: string
  original: string
  replacement: string
}

export interface Sandbox {
  folder: string
  mutants: Mutant[]
  /** Test files that may kill mutants, within the repository. */
  tests: string[]
}

const quiet = () => undefined
const isOff = () => false
const silent = {
  isTraceEnabled: isOff,
  isDebugEnabled: isOff,
  isInfoEnabled: isOff,
  isWarnEnabled: isOff,
  isErrorEnabled: isOff,
  isFatalEnabled: isOff,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
  fatal: quiet,
}

/** Files with code that deployments run, whose path contains `only`. */
export function mutatedFiles(only: string): string[] {
  return globSync(`${SOURCE}/{${FOLDERS.join(',')}}/**/*.ts`, { cwd: root })
    .filter(
      (path) =>
        !path.includes('/testing/') &&
        !/\.(test|types|fixture|fuzz)\.ts$/.test(path) &&
        !basename(path).startsWith('test-'),
    )
    .filter((path) => path.includes(only))
    .toSorted()
}

/** Makes the copy; it is removed when this process ends. */
export async function makeSandbox(files: string[]): Promise<Sandbox> {
  const folder = mkdtempSync(join(tmpdir(), 'byoi-mutation-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const into = join(folder, 'packages/imaging')
  mkdirSync(into, { recursive: true })
  cpSync(join(root, 'packages/imaging'), into, { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))

  const sources = new Map(files.map((name) => [name, readFileSync(join(root, name), 'utf8')]))
  const { files: instrumented, mutants } = await new Instrumenter(silent).instrument(
    [...sources].map(([name, content]) => ({ name, content, mutate: true })),
    { plugins: null, excludedMutations: [], ignorers: [] },
  )
  for (const { name, content } of instrumented)
    writeFileSync(join(folder, name), content + COUNT_ONLY_AT_FIRST)
  return {
    folder,
    mutants: mutants
      .map(({ id, fileName, location: { start, end }, mutatorName, replacement }) => ({
        id,
        file: fileName,
        line: start.line + 1,
        column: start.column + 1,
        operator: mutatorName,
        original: textBetween(sources.get(fileName) as string, start, end),
        replacement,
      }))
      .filter((mutant) => !isSentence(mutant, sources.get(mutant.file) as string)),
    tests: testsBeside(files),
  }
}

/**
 * The tests of the folders that the files are in, save those that compare with other programs or try random files: they take so long
 * that they would be most of the time, and what only they notice deserves a test of its own.
 */
function testsBeside(files: string[]): string[] {
  const folders = FOLDERS.filter((each) => files.some((file) => file.startsWith(`${SOURCE}/${each}/`)))
  return folders
    .flatMap((each) => globSync(`${SOURCE}/${each}/**/*.test.ts`, { cwd: root }))
    .filter((path) => !/[.-](differential|tools|fuzz)\.test\.ts$/.test(path))
    .toSorted()
}

/** Counting is dear in loops and of use in the first run only: afterwards the counter of each file does nothing. */
const COUNT_ONLY_AT_FIRST = `
if (process.env.BYOI_MUTATION_REACHED === undefined) stryCov_9fa48 = () => {}
`

interface Place {
  line: number
  column: number
}

function textBetween(source: string, start: Place, end: Place): string {
  const lines = source.split('\n').slice(start.line, end.line + 1)
  lines[lines.length - 1] = (lines.at(-1) as string).slice(0, end.column)
  lines[0] = (lines[0] as string).slice(start.column)
  return lines.join('\n')
}

/**
 * Sentences for people, and parts of them: literals with a blank in them, except magic numbers of formats. An empty sentence is a
 * mistake that tests do not look for: causes and remedies are judged by reading them.
 */
function isSentence({ operator, original, line }: Mutant, source: string): boolean {
  const isMagic = (source.split('\n')[line - 1] as string).includes('magic: ')
  return operator === 'StringLiteral' && original.includes(' ') && !isMagic
}
