import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { run, type RunOptions } from '../run.ts'
import type { DebianPackage } from './packages.ts'

const commandDirectories = ['usr/bin', 'usr/sbin', 'bin', 'sbin']
export const libraryDirectories = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
const loader = 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'

/** The files of unpacked packages, and their programs, which run without being installed. */
export class DebianFiles {
  readonly #packages: readonly DebianPackage[]

  constructor(packages: readonly DebianPackage[]) {
    this.#packages = packages
  }

  /** Versions by package, in the order of the names. */
  get versions(): Record<string, string> {
    const byName = this.#packages.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    return Object.fromEntries(byName.map(({ name, version }) => [name, version]))
  }

  /** Absolute path of a package's file, or of its root. @throws {Error} when the package has no such file. */
  path(packageName: string, file = ''): string {
    const found = this.#packages.find(({ name }) => name === packageName)
    const path = join(found?.root ?? '/nonexistent', file)
    if (!existsSync(path)) throw new Error(`Debian's package ${packageName} has no file ${file}.`)
    return path
  }

  /** Absolute path of a command. @throws {Error} when no package has it. */
  command(name: string): string {
    return this.#find(commandDirectories, name) ?? fail(`No package of the ramdisk has a command ${name}.`)
  }

  /** Absolute path of a shared library. @throws {Error} when no package has it. */
  library(name: string): string {
    return this.#find(libraryDirectories, name) ?? fail(`No package of the ramdisk has the library ${name}.`)
  }

  /** Runs a command with the packages' own C library, so that the host's version does not matter. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<Buffer> {
    const libraries = this.#packages.flatMap(({ root }) => libraryDirectories.map((each) => join(root, each)))
    const path = libraries.filter((each) => existsSync(each)).join(':')
    return run(this.path('libc6', loader), ['--library-path', path, this.command(command), ...args], options)
  }

  #find(directories: string[], name: string): string | undefined {
    return this.#packages
      .flatMap(({ root }) => directories.map((directory) => join(root, directory, name)))
      .find((path) => existsSync(path))
  }
}

function fail(sentence: string): never {
  throw new Error(sentence)
}
