import { dirname, normalize } from 'node:path'
import type { NewcEntry } from '@byoi/contract'

/**
 * The files of a root file system that is being put together, in memory. Commands lie in usr/bin and libraries in usr/lib; the other
 * directories of Debian's layout lead there. Paths have no leading slash.
 */
export class Tree {
  readonly #entries = new Map<string, NewcEntry>()

  constructor() {
    for (const [path, target] of Object.entries(mergedDirectories)) this.link(path, target)
  }

  file(path: string, data: Uint8Array | string, mode = 0o644): void {
    this.#add({ kind: 'file', path, mode, data: typeof data === 'string' ? Buffer.from(data) : data })
  }

  directory(path: string, mode = 0o755): void {
    this.#add({ kind: 'directory', path, mode })
  }

  link(path: string, target: string): void {
    this.#add({ kind: 'link', path, target })
  }

  device(path: string, major: number, minor: number, mode = 0o600): void {
    this.#add({ kind: 'device', path, mode, major, minor })
  }

  has(path: string): boolean {
    return this.#entries.has(merged(path))
  }

  /** Content of each file. */
  *files(): Generator<{ path: string; data: Buffer }> {
    for (const entry of this.#entries.values())
      if (entry.kind === 'file')
        yield {
          path: entry.path,
          data: Buffer.from(entry.data.buffer, entry.data.byteOffset, entry.data.length),
        }
  }

  /** In the order of the names, which puts a directory before what is in it. */
  entries(): NewcEntry[] {
    return [...this.#entries.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
  }

  #add(entry: NewcEntry): void {
    const path = merged(entry.path)
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent))
      if (!this.#entries.has(parent)) this.#entries.set(parent, { kind: 'directory', path: parent })
    this.#entries.set(path, { ...entry, path })
  }
}

const mergedDirectories = {
  bin: 'usr/bin',
  sbin: 'usr/bin',
  lib: 'usr/lib',
  lib64: 'usr/lib',
  'usr/sbin': 'bin',
}

/** `sbin/modprobe` lies in `usr/bin/modprobe`. */
function merged(path: string): string {
  const clean = normalize(path)
  if (Object.hasOwn(mergedDirectories, clean)) return clean
  return clean.replace(/^(usr\/)?s?bin\//, 'usr/bin/').replace(/^(usr\/)?lib(64)?\//, 'usr/lib/')
}
