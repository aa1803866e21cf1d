/**
 * ICU's data inside the Node binary: locales, time zones and character sets that the agent has no use for are a quarter of the packed
 * ramdisk. Their bytes are set to zero in place, so that no address changes; ICU falls back to `root` and `en`.
 *
 * Layout: icu/source/common/unicode/udata.h (UDataInfo, header), icu/source/tools/toolutil/package.cpp ("CmnD": a count, then pairs of
 * offsets of name and data from the start of the table).
 */

/** Sizes in bytes. */
const magic = Buffer.from('CmnD')
/** dataFormat's place in the header: headerSize u16, magic u8 u8, size u16, reserved u16, isBigEndian, charset, sizeofUChar, reserved. */
const formatOffset = 12

/** Items that are kept: what `en` and `root` need, normalisation and character properties. */
const isKept = (name: string): boolean =>
  /\.(?:icu|nrm)$/.test(name) ||
  /^(?:root|en|res_index|pool|supplementalData|zoneinfo64|likelySubtags|numberingSystems|timezoneTypes|windowsZones|metaZones|keyTypeData|metadata|currencyNumericCodes|plurals|dayPeriods|genderList|icuver|icustd)\.res$/.test(
    name.split('/').at(-1) ?? '',
  )

interface Item {
  name: string
  /** Place in the binary, in bytes. */
  from: number
  to: number
}

/**
 * Sets the data of ICU that is not kept to zero, in `binary` itself. Returns how many bytes that were.
 * @throws {Error} when the data is not laid out as it is known to be.
 */
export function zeroIcuData(binary: Buffer): number {
  const items = icuItems(binary)
  const dropped = items.filter(({ name }) => !isKept(name))
  if (dropped.length === items.length || dropped.length < 1000)
    throw new Error(`Node's ICU data has ${items.length} items of another kind than known`)
  for (const { from, to } of dropped) binary.fill(0, from, to)
  return dropped.reduce((sum, { from, to }) => sum + to - from, 0)
}

function icuItems(binary: Buffer): Item[] {
  const start = dataStart(binary)
  const table = start + binary.readUInt16LE(start)
  const count = binary.readUInt32LE(table)
  const offset = (index: number): number => table + binary.readUInt32LE(table + 4 + 8 * index)
  const items = Array.from({ length: count }, (_, index) => {
    const name = offset(index)
    const data = table + binary.readUInt32LE(table + 8 + 8 * index)
    return { name: binary.toString('latin1', name, binary.indexOf(0, name)), from: data, to: data }
  })
  // An item ends where the next one begins; where the last one ends is not written anywhere, so it is left as it is.
  for (const [index, item] of items.entries()) item.to = items[index + 1]?.from ?? item.from
  if (
    !items.every(
      ({ from, to, name }) => to >= from && to <= binary.length && /^icudt\d+l\/[\x21-\x7e]+$/.test(name),
    )
  )
    throw new Error("Node's ICU data has a table of contents of another kind than known")
  return items
}

/** Start of the only ICU common data file of the binary. */
function dataStart(binary: Buffer): number {
  const found: number[] = []
  for (let at = binary.indexOf(magic); at >= 0; at = binary.indexOf(magic, at + 1)) {
    const start = at - formatOffset
    // MappedData's magic, little-endian, ASCII, 2 bytes a UChar.
    const isHeader =
      binary[start + 2] === 0xda && binary[start + 3] === 0x27 && binary.readUInt32LE(start + 8) === 0x20000
    if (isHeader) found.push(start)
  }
  if (found.length !== 1) throw new Error(`Node's binary holds ${found.length} ICU data files instead of one`)
  return found[0] as number
}
