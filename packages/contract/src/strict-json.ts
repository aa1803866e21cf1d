/** Why a text is not strict JSON. The message names the place, never the content: it may hold a secret. */
export class StrictJsonError extends Error {
  /** In UTF-16 code units from the start of the text; -1 when the bytes are no UTF-8. */
  readonly position: number

  constructor(problem: string, position: number) {
    super(position < 0 ? problem : `${problem} at position ${position}`)
    this.name = 'StrictJsonError'
    this.position = position
  }
}

export type Json = null | boolean | number | string | Json[] | JsonObject
/** Has no prototype, so that `__proto__` and `constructor` are plain data. */
export interface JsonObject {
  [key: string]: Json
}

const maxDepth = 32
/** Members and elements of a whole text: bounds time and memory whatever the body's size. */
const maxValues = 50_000

/**
 * Parses JSON (RFC 8259) strictly: UTF-8 without BOM, no duplicate keys at any depth, no lone surrogates, finite numbers,
 * nothing after the value, depth at most 32. `JSON.parse` lets the last duplicate win, so two readers of one signed
 * body could see different requests. Throws `StrictJsonError`.
 */
export function parseStrictJson(bytes: Uint8Array): Json {
  return new Parser(decodeUtf8(bytes)).parse()
}

function decodeUtf8(bytes: Uint8Array): string {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw new StrictJsonError('There is a byte order mark', 0)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StrictJsonError('The body is not valid UTF-8', -1)
  }
}

const blank = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
// oxlint-disable-next-line no-control-regex -- the grammar of RFC 8259 section 7 names control characters
const plainText = /[^"\\\u0000-\u001f]*/y
const hex4 = /[0-9a-fA-F]{4}/y
const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

class Parser {
  readonly #text: string
  #at = 0
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): Json {
    const value = this.#value(0)
    this.#take(blank)
    if (this.#at < this.#text.length) throw this.#error('Unexpected text after the value')
    return value
  }

  #value(depth: number): Json {
    this.#take(blank)
    this.#values += 1
    if (this.#values > maxValues) throw this.#error('Too many values')
    const first = this.#text[this.#at]
    if (first === undefined) throw this.#error('Unexpected end')
    if (first === '{') return this.#object(depth + 1)
    if (first === '[') return this.#array(depth + 1)
    if (first === '"') return this.#string()
    for (const [word, value] of words) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    return this.#number()
  }

  #object(depth: number): JsonObject {
    this.#open(depth)
    const object = Object.create(null) as JsonObject
    if (this.#skip('}')) return object
    do {
      this.#take(blank)
      const at = this.#at
      if (this.#text[at] !== '"') throw this.#error('Expected a key')
      const key = this.#string()
      if (Object.hasOwn(object, key)) throw new StrictJsonError('There is a duplicate key', at)
      this.#expect(':')
      object[key] = this.#value(depth)
    } while (this.#skip(','))
    this.#expect('}')
    return object
  }

  #array(depth: number): Json[] {
    this.#open(depth)
    const array: Json[] = []
    if (this.#skip(']')) return array
    do {
      array.push(this.#value(depth))
    } while (this.#skip(','))
    this.#expect(']')
    return array
  }

  #string(): string {
    const start = this.#at
    this.#at += 1
    let value = ''
    for (;;) {
      value += this.#take(plainText)
      const next = this.#text[this.#at]
      if (next === '"') break
      if (next !== '\\') throw this.#error(next === undefined ? 'Unexpected end' : 'Raw control character')
      value += this.#escape()
    }
    this.#at += 1
    if (!value.isWellFormed()) throw new StrictJsonError('There is a lone surrogate in the string', start)
    return value
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? ''
    this.#at += 2
    if (letter !== 'u') {
      const plain = escapes[letter]
      if (plain === undefined) throw this.#error('Unknown escape')
      return plain
    }
    const digits = this.#take(hex4)
    if (digits === '') throw this.#error('Expected four hexadecimal digits')
    return String.fromCharCode(Number.parseInt(digits, 16))
  }

  #number(): number {
    const at = this.#at
    const digits = this.#take(number)
    if (digits === '') throw this.#error('Unexpected character')
    const value = Number(digits)
    if (!Number.isFinite(value)) throw new StrictJsonError('There is a number out of range', at)
    return value
  }

  #open(depth: number): void {
    if (depth > maxDepth) throw this.#error(`Nested deeper than ${maxDepth}`)
    this.#at += 1
  }

  /** True when the next character after blanks is `char`, which is then passed. */
  #skip(char: string): boolean {
    this.#take(blank)
    if (this.#text[this.#at] !== char) return false
    this.#at += 1
    return true
  }

  #expect(char: string): void {
    if (!this.#skip(char)) throw this.#error(`Expected ${char}`)
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  #error(problem: string): StrictJsonError {
    return new StrictJsonError(problem, this.#at)
  }
}

const words: [string, Json][] = [
  ['true', true],
  ['false', false],
  ['null', null],
]
