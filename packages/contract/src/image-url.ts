import { type BadParameter, badField } from './bad-parameter.ts'

const maxUrlBytes = 8192

/** Ports that never serve images and on which an HTTP request could do harm: SSH, telnet, mail, IPMI, databases ... */
export const deniedPorts: readonly number[] = [
  0, 19, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 623, 993, 995, 2375, 2379, 3306, 5432, 6379, 11211,
]

/**
 * Checks an image URL by its text and returns it normalised (WHATWG). Which addresses may be fetched is judged where the
 * name is resolved, at each connect, not here. Throws `BadParameter` for `field`.
 */
export function parseImageUrl(text: string, field: string, denied: readonly number[] = deniedPorts): string {
  const refuse = (must: string): BadParameter => badField(field, must)
  if (Buffer.byteLength(text) > maxUrlBytes) throw refuse(`be at most ${maxUrlBytes} bytes long`)
  // The WHATWG parser drops tabs and line ends, reads a backslash as a slash and skips extra slashes: what is written
  // would not be what is fetched, so such texts are refused before it sees them.
  if (/[\p{Cc}\s\\]/u.test(text)) throw refuse('hold no blanks, control characters or backslashes')
  if (!/^https?:\/\/[^/?#]/i.test(text)) throw refuse('begin with http:// or https:// and a host')
  if (text.includes('#')) throw refuse('hold no fragment (#)')
  if (!URL.canParse(text)) throw refuse('be a valid URL')
  const url = new URL(text)
  if (/^[^:]+:\/\/[^/?]*@/.test(text)) throw refuse('hold no user name or password; use httpHeader')
  if (url.port !== '' && denied.includes(Number(url.port))) throw refuse('use a port that is allowed')
  if (url.hostname.endsWith('.')) url.hostname = url.hostname.slice(0, -1)
  if (url.hostname === '' || url.hostname.endsWith('.')) throw refuse('name a host')
  return url.href
}
