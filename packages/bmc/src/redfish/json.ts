/** A JSON object from a BMC: anything may be missing or of another type, so members are read by the functions below. */
export type Json = Readonly<Record<string, unknown>>

const maxDepth = 32

/** Throws an Error with one sentence when the text is no JSON object, or nested deeper than any BMC has a reason for. */
export function parseObject(text: string): Json {
  if (depthOf(text) > maxDepth) throw new Error(`it is nested deeper than ${maxDepth} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('it is not valid JSON')
  }
  if (!isObject(value)) throw new Error('it is not a JSON object')
  return value
}

/** Deepest nesting of brackets outside of strings. */
function depthOf(text: string): number {
  let [depth, deepest, quoted] = [0, 0, false]
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (quoted) {
      if (character === '\\') at++
      else if (character === '"') quoted = false
    } else if (character === '"') {
      quoted = true
    } else if (character === '{' || character === '[') {
      deepest = Math.max(deepest, ++depth)
    } else if (character === '}' || character === ']') {
      depth--
    }
  }
  return deepest
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The own member at the end of a path of names; undefined where one is missing. */
export function at(of: unknown, ...names: string[]): unknown {
  let value = of
  for (const name of names) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}

export function textAt(of: unknown, ...names: string[]): string | null {
  const value = at(of, ...names)
  return typeof value === 'string' && value !== '' ? value : null
}

export function objectAt(of: unknown, ...names: string[]): Json | null {
  const value = at(of, ...names)
  return isObject(value) ? value : null
}

export function listAt(of: unknown, ...names: string[]): readonly unknown[] {
  const value = at(of, ...names)
  return Array.isArray(value) ? value : []
}

export const textsAt = (of: unknown, ...names: string[]): string[] =>
  listAt(of, ...names).filter((each) => typeof each === 'string')

/** The `@odata.id` of a reference, as it was given. */
export const linkAt = (of: unknown, ...names: string[]): string | null => textAt(of, ...names, '@odata.id')

export const linksAt = (of: unknown, ...names: string[]): string[] =>
  listAt(of, ...names)
    .map((each) => linkAt(each))
    .filter((link) => link !== null)
