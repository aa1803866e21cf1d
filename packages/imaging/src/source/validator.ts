import type { ResponseHead } from './http-head.ts'

/** Something that differs whenever a byte of the file does: the text for If-Range, and the field that it came in. */
export interface Validator {
  field: 'etag' | 'last-modified'
  text: string
}

/** So much older than the answer that neither clocks nor two changes in one second matter (RFC 9110 section 8.8.2.2). */
const STRONG_AGE_MS = 60_000

/**
 * The strong validator of an answer, or null. A date counts only where there is no entity tag at all (RFC 9110 section
 * 13.1.5) and the file had not just been changed.
 */
export function strongValidator({ fields }: ResponseHead): Validator | null {
  const tag = fields.get('etag')
  if (tag !== undefined)
    return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(tag) ? { field: 'etag', text: tag } : null
  const modified = fields.get('last-modified')
  const age = httpDate(fields.get('date')) - httpDate(modified)
  return modified !== undefined && age >= STRONG_AGE_MS ? { field: 'last-modified', text: modified } : null
}

/** True where an answer is about the same bytes. A 206 may leave out Last-Modified (RFC 9110 section 15.3.7), never ETag. */
export function isSame(validator: Validator, { status, fields }: ResponseHead): boolean {
  const text = fields.get(validator.field)
  return (
    text === validator.text || (text === undefined && status === 206 && validator.field === 'last-modified')
  )
}

/** IMF-fixdate (RFC 9110 section 5.6.7) in ms; NaN for anything else. */
export function httpDate(text: string | undefined): number {
  const isFixdate = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(text ?? '')
  return isFixdate ? Date.parse(text ?? '') : Number.NaN
}
