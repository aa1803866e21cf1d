import { inspect } from 'node:util'

/** A value that never prints: toString, JSON and util.inspect give `***`. Only `reveal()` gives it out. */
export class Secret<T = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '***'
  }

  toJSON(): string {
    return '***'
  }

  [inspect.custom](): string {
    return '***'
  }
}

/**
 * A URL fit for logs, errors and answers: user-info removed, the query (it may hold a token) replaced by `***`.
 * A text that is no URL comes back as `***`.
 */
export function maskUrl(text: string): string {
  if (!URL.canParse(text)) return '***'
  const url = new URL(text)
  url.username = ''
  url.password = ''
  url.hash = ''
  const query = url.search === '' ? '' : '?***'
  url.search = ''
  return url.href + query
}
