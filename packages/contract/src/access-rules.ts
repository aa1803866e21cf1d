/** HTTP methods of OVHcloud's access rules (`auth.HTTPMethodEnum`). */
export const ruleMethods = ['DELETE', 'GET', 'POST', 'PUT'] as const
export type RuleMethod = (typeof ruleMethods)[number]

/** One right of a consumer key. `path` is without `/1.0`, e.g. `/dedicated/server/*`. */
export interface AccessRule {
  method: RuleMethod
  path: string
}

/**
 * Whether a rule's path covers a call's path (decoded once, without `/1.0`).
 *
 * OVHcloud publishes no formal rule; its guides use these forms. A `*` that is a whole segment covers one or more
 * characters and crosses slashes: `/dedicated/server/*` covers `/dedicated/server/ns1/bringYourOwnImage` but not
 * `/dedicated/server` itself, and in the middle of a path it covers every server's `reinstall`. A `*` at the end of a
 * segment's text covers nothing or a continuation that begins with a slash: `/me*` covers `/me` and `/me/api`. It is never
 * a prefix of a name, because a right on `ns1*` must not reach the neighbour `ns10`. A `*` elsewhere in a segment covers
 * characters other than a slash.
 */
export function pathMatches(rule: string, path: string): boolean {
  const end = tokens(rule).reduce((from, token) => advance(from, token, path), new Set([0]))
  return end.has(path.length)
}

/** Whether any of the rules grants the call. */
export const isGranted = (rules: readonly AccessRule[], method: string, path: string): boolean =>
  rules.some((rule) => rule.method === method && pathMatches(rule.path, path))

/** `any`: a whole segment's `*`; `below`: a `*` at the end of a segment's text; `inside`: a `*` elsewhere in it. */
type Token = { text: string } | 'any' | 'below' | 'inside'

function tokens(rule: string): Token[] {
  return rule.split('/').flatMap((segment, index): Token[] => {
    const slash: Token[] = index === 0 ? [] : [{ text: '/' }]
    if (/^\*+$/.test(segment)) return [...slash, 'any']
    const parts = segment.split(/\*+/)
    return [
      ...slash,
      ...parts.flatMap((text, at): Token[] => {
        if (at === 0) return [{ text }]
        return text === '' && at === parts.length - 1 ? ['below'] : ['inside', { text }]
      }),
    ]
  })
}

/** The positions in the path after a token. All at once, so that no rule makes the match take exponential time. */
function advance(from: ReadonlySet<number>, token: Token, path: string): Set<number> {
  const to = new Set<number>()
  for (const at of from) {
    if (typeof token === 'object') {
      if (path.startsWith(token.text, at)) to.add(at + token.text.length)
      continue
    }
    if (token !== 'any') to.add(at)
    if (token === 'below' && path[at] !== '/') continue
    for (let next = at + 1; next <= path.length; next++) {
      if (token === 'inside' && path[next - 1] === '/') break
      to.add(next)
    }
  }
  return to
}

/** Length and form of a rule's path: begins with a slash, printable ASCII, at most 512 characters, at most 8 wildcards. */
export const isRulePath = (path: string): boolean =>
  /^\/[\x21-\x7e]{0,511}$/.test(path) && path.split('*').length <= 9

/** Reads `GET /dedicated/server*` (as on the command line); null when it is no rule. */
export function parseAccessRule(text: string): AccessRule | null {
  const [, word, path] = /^([A-Z]+) +(\S+)$/.exec(text) ?? []
  const method = ruleMethods.find((name) => name === word)
  return method !== undefined && path !== undefined && isRulePath(path) ? { method, path } : null
}
