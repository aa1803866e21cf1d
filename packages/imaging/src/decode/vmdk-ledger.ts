import { ImagingError } from '../error.ts'
import { refuse } from './refuse.ts'
import { GRAINS_PER_TABLE } from './vmdk-header.ts'

/** Grain tables, of 2 KiB each, that may wait for the other half of their proof: 32 MiB. */
const MAX_WAITING = 16_384
/** Empty grain tables behind the grains; no program is known to write any. */
const MAX_EMPTY = 65_536
/** Directories name tables by 32 bits. */
const LAST_SECTOR = 0xffff_ffff

/**
 * Proves that the markers that a stream is read by and the tables that random access is read by show one and the same image:
 * each grain must stand in exactly the slot of exactly the table that its marker names. A grain table that has met its grains is
 * forgotten, so the memory is bounded by how far apart the two stand. All positions in sectors.
 */
export class GrainLedger {
  /** Grains that were seen by their markers, by number of their table: the sector of each slot, 0 for none. */
  readonly #seen = new Map<number, Uint32Array>()
  /** Tables that stood before their grains. */
  readonly #expected = new Map<number, Uint32Array>()
  /** Where each table that has met its grains stands; 0 for none. */
  readonly #tables: Uint32Array
  readonly #emptyTables = new Set<number>()

  /** `tables`: how many the image has. */
  constructor(tables: number) {
    this.#tables = new Uint32Array(tables)
  }

  /** A table that came before its grains; `entries` as in the file. */
  expect(table: number, entries: Uint32Array): void {
    if (entries.every((entry) => entry === 0)) return
    this.#expected.set(table, entries)
    this.#bound()
  }

  /** A marker said that grain number `grain` stands at `sector`. Throws ImagingError FORMAT. */
  see(grain: number, sector: number): void {
    const table = Math.floor(grain / GRAINS_PER_TABLE)
    const slot = grain % GRAINS_PER_TABLE
    const expected = this.#expected.get(table)
    if (expected !== undefined) {
      if (expected[slot] !== sector) throw differ()
      expected[slot] = 0
      if (expected.every((entry) => entry === 0)) this.#expected.delete(table)
      return
    }
    if (this.#tables[table] !== 0) throw differ()
    const group = this.#seen.get(table) ?? new Uint32Array(GRAINS_PER_TABLE)
    if (group[slot] !== 0) throw refuse(`The VMDK holds its grain ${grain} twice.`)
    group[slot] = sector
    this.#seen.set(table, group)
    this.#bound()
  }

  /** A table that came after its grains stands at `sector`. */
  closeTable(sector: number, entries: Uint32Array): void {
    const slot = entries.findIndex((entry) => entry !== 0)
    if (slot === -1) {
      this.#emptyTables.add(sector)
      this.#bound()
      return
    }
    for (const [table, group] of this.#seen) {
      if (group[slot] !== entries[slot]) continue
      if (!same(group, entries) || sector > LAST_SECTOR) break
      this.#seen.delete(table)
      this.#tables[table] = sector
      return
    }
    throw differ()
  }

  /** The directory that came last: an entry for each table. */
  closeDirectory(entries: Uint32Array): void {
    entries.forEach((entry, table) => {
      const known = this.#tables[table]
      const right = known === 0 ? entry === 0 || this.#emptyTables.has(entry) : entry === known
      if (!right) throw differ()
    })
  }

  /** Grains that are still to come, or tables that never came. */
  finish(): void {
    if (this.#expected.size > 0) throw refuse('The image is cut off: grains that its tables name never came.')
    if (this.#seen.size > 0) throw refuse('The VMDK holds grains that no table names.')
  }

  #bound(): void {
    if (this.#seen.size + this.#expected.size <= MAX_WAITING && this.#emptyTables.size <= MAX_EMPTY) return
    throw new ImagingError('RAM', {
      cause: 'The VMDK keeps its grains and the tables that name them too far apart.',
      remedy: 'Convert it to qcow2 with qemu-img convert -O qcow2.',
    })
  }
}

const same = (a: Uint32Array, b: Uint32Array): boolean => a.every((entry, index) => entry === b[index])

const differ = (): ImagingError =>
  refuse(
    "The VMDK's markers and its tables show different images.",
    'Convert it anew with qemu-img convert -O vmdk -o subformat=streamOptimized.',
  )
