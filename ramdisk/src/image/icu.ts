/**
 * ICU's data inside the Node binary, a package of some 4,300 items. The agent has no use for most: locales other than English,
 * character sets and dictionaries, which are 28 of 33 MB. A smaller package is what Node's own option `--with-intl=small-icu` makes; here
 * it takes the place of the full one in the built binary.
 *
 * Layout: header of `icu4c/source/common/ucmndata.h` (struct DataHeader), then the table of `UDataOffsetTOC` in the same file: a count,
 * and for each item the offsets of its name and of its data from the start of the table, sorted by name. Items are aligned to 16 bytes.
 */

/** Data format of a package, at byte 12 of its header. */
const packageFormat = Buffer.from('CmnD')
const alignment = 16
/** A package with fewer items, or with more left than dropped, is not the one that is known. */
const leastItems = 1000

interface Item {
  /** As `icudt78l/curr/en.res`. */
  name: string
  data: Buffer
}

/** Bytes from `from` to `to`, without the last. */
export interface Range {
  from: number
  to: number
}

/**
 * Puts a package of the kept items in the place of the full one, in `binary` itself.
 *
 * @returns The bytes behind it, now zero, that nothing refers to any more.
 * @throws {Error} when the data is not laid out as it is known to be.
 */
export function reduceIcuData(binary: Buffer): Range {
  const start = packageStart(binary)
  const headerSize = binary.readUInt16LE(start)
  const table = binary.subarray(start + headerSize)
  const { items, end } = readItems(table)
  const kept = items.filter(({ name }) => isKept(name))
  if (items.length < leastItems || kept.length === 0 || kept.length > items.length / 2)
    throw new Error(
      `Node's ICU data has ${items.length} items, ${kept.length} to keep: not those that are known.`,
    )
  const smaller = packageTable(kept)
  smaller.copy(table)
  table.fill(0, smaller.length, end)
  return { from: start + headerSize + smaller.length, to: start + headerSize + end }
}

/** English, and what belongs to no language: properties of characters, normalisation, time zones, plural rules. */
function isKept(name: string): boolean {
  const [, folder, file] = /^[^/]+\/(?:(.+)\/)?([^/]+)$/.exec(name) ?? []
  // Not in JavaScript: names of characters, transliteration, numbers in words.
  if (file === undefined || file === 'unames.icu' || folder === 'translit' || folder === 'rbnf') return false
  if (/\.(?:icu|nrm)$/.test(file)) return true
  const isLanguage = /^[a-z]{2,3}(?:_\w+)?\.res$/.test(file)
  return (
    /^(?:en|root|pool)\.res$/.test(file) || (folder === undefined && file.endsWith('.res') && !isLanguage)
  )
}

/** The start of the only package in the binary. */
function packageStart(binary: Buffer): number {
  const found: number[] = []
  for (let at = binary.indexOf(packageFormat); at >= 0; at = binary.indexOf(packageFormat, at + 1)) {
    const header = binary.subarray(at - 12)
    // MappedData's magic; then sizeof(UDataInfo) 20, reserved, little-endian, ASCII, two bytes a character, reserved.
    if (
      header.readUInt16LE(2) === 0x27da &&
      header.readUInt32LE(4) === 20 &&
      header.readUInt32LE(8) === 0x20000
    )
      found.push(at - 12)
  }
  if (found.length !== 1)
    throw new Error(`Node's binary holds ${found.length} ICU data packages instead of one.`)
  return found[0] as number
}

/** The items but the last, whose length is written nowhere: it begins at `end`. */
function readItems(table: Buffer): { items: Item[]; end: number } {
  const count = table.readUInt32LE(0)
  const entries = Array.from({ length: count }, (_, index) => {
    const name = table.readUInt32LE(4 + 8 * index)
    return {
      name: table.toString('latin1', name, table.indexOf(0, name)),
      at: table.readUInt32LE(8 + 8 * index),
    }
  })
  const items = entries.slice(0, -1).map(({ name, at }, index) => {
    const end = entries[index + 1]?.at ?? at
    if (!/^icudt\d+l\/[\x21-\x7e]+$/.test(name) || end < at || end > table.length)
      throw new Error("Node's ICU data has a table of contents of another kind than known.")
    return { name, data: Buffer.from(table.subarray(at, end)) }
  })
  return { items, end: entries.at(-1)?.at ?? 0 }
}

function packageTable(items: readonly Item[]): Buffer {
  const names = items.map(({ name }) => Buffer.from(`${name}\0`, 'latin1'))
  const toc = Buffer.alloc(4 + 8 * items.length)
  toc.writeUInt32LE(items.length)
  let at = toc.length
  for (const [index, name] of names.entries()) {
    toc.writeUInt32LE(at, 4 + 8 * index)
    at += name.length
  }
  const pieces: Buffer[] = [toc, ...names]
  for (const [index, { data }] of items.entries()) {
    const padding = -at & (alignment - 1)
    toc.writeUInt32LE(at + padding, 8 + 8 * index)
    pieces.push(Buffer.alloc(padding), data)
    at += padding + data.length
  }
  return Buffer.concat(pieces)
}
