import { refuse } from '../refuse.ts'

const MAX_DEPTH = 64
const MAX_ELEMENTS = 20_000
/** Characters of one attribute. */
const MAX_VALUE = 64 * 1024
const REMEDY = 'Export the OVA anew from the program that made it.'

/**
 * An element, and its attributes, by local names: writers of OVF differ in their prefixes. Of two attributes with one local name the
 * one of the prefix `ovf` counts.
 */
export interface XmlElement {
  name: string
  attributes: Map<string, string>
  children: XmlElement[]
}

/**
 * Reads XML 1.0 strictly enough for an OVF descriptor: elements, attributes, comments, processing instructions, the five named
 * and the numeric references. A document type is refused, and with it every entity, so nothing expands and nothing is fetched. Text
 * between elements is dropped. Throws ImagingError FORMAT.
 */
export function parseXml(bytes: Uint8Array): XmlElement {
  const text = decode(bytes)
  const root: XmlElement = { name: '', attributes: new Map(), children: [] }
  const open = [root]
  let elements = 0
  let at = 0
  while (at < text.length) {
    const start = text.indexOf('<', at)
    if (start === -1) break
    if (text.startsWith('<!--', start)) at = after(text, '-->', start + 4)
    else if (text.startsWith('<?', start)) at = after(text, '?>', start + 2)
    else if (text.startsWith('<![CDATA[', start)) at = after(text, ']]>', start + 9)
    else if (text.startsWith('<!', start)) throw malformed('has a document type, which is not allowed')
    else if (text.startsWith('</', start)) {
      at = after(text, '>', start)
      const name = text.slice(start + 2, at - 1).trim()
      if (open.length < 2 || localName(name) !== open.pop()?.name)
        throw malformed('has a tag that closes another one')
    } else {
      const { element, end, empty } = readTag(text, start)
      if (++elements > MAX_ELEMENTS) throw malformed('has too many elements')
      open.at(-1)?.children.push(element)
      if (!empty && open.push(element) > MAX_DEPTH) throw malformed('is nested too deep')
      at = end
    }
  }
  const [top, more] = root.children
  if (open.length !== 1 || top === undefined || more !== undefined)
    throw malformed('is not one whole element')
  return top
}

const NAME = /[A-Za-z_][\w.:-]{0,127}/y
const ATTRIBUTE = /\s+([A-Za-z_][\w.:-]{0,127})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y
const TAG_END = /\s*(\/?)>/y

function readTag(text: string, start: number): { element: XmlElement; end: number; empty: boolean } {
  const name = match(NAME, text, start + 1)
  if (name === null) throw malformed('has a damaged tag')
  const element: XmlElement = { name: localName(name[0]), attributes: new Map(), children: [] }
  const seen = new Set<string>()
  let at = start + 1 + name[0].length
  for (let found = match(ATTRIBUTE, text, at); found !== null; found = match(ATTRIBUTE, text, at)) {
    const full = found[1] ?? ''
    if (seen.has(full)) throw malformed('has an attribute twice')
    seen.add(full)
    const key = localName(full)
    const raw = found[2] ?? found[3] ?? ''
    if (raw.length > MAX_VALUE) throw malformed('has an attribute of more than 64 KiB')
    const value = unescape(raw)
    if (!element.attributes.has(key) || full.startsWith('ovf:')) element.attributes.set(key, value)
    at += found[0].length
  }
  const end = match(TAG_END, text, at)
  if (end === null) throw malformed('has a damaged tag')
  return { element, end: at + end[0].length, empty: end[1] === '/' }
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

function after(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  if (at === -1) throw malformed('is cut off')
  return at + mark.length
}

const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function unescape(text: string): string {
  return text.replace(/&(#x[0-9a-fA-F]{1,6}|#[0-9]{1,7}|[a-z]{2,4});|&/g, (_, name: string | undefined) => {
    if (name === undefined) throw malformed('has a reference that is none')
    if (!name.startsWith('#')) return NAMED[name] ?? unknownEntity()
    const code = name.startsWith('#x') ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
    if (code === 0 || code > 0x10ffff) throw malformed('has an impossible character')
    return String.fromCodePoint(code)
  })
}

function unknownEntity(): never {
  throw malformed('has an entity of its own, which is not allowed')
}

function decode(bytes: Uint8Array): string {
  const [first, second] = bytes
  const isUtf16 =
    (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || first === 0 || second === 0
  if (isUtf16) throw malformed('is not in UTF-8')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('is not in UTF-8')
  }
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1)

const malformed = (how: string) => refuse(`The OVA's OVF descriptor ${how}.`, REMEDY)
