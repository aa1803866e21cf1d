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
  return new RegExp(`^${rule.split('/').map(segmentPattern).join('/')}$`, 's').test(path)
}

/** Whether any of the rules grants the call. */
export const isGranted = (rules: readonly AccessRule[], method: string, path: string): boolean =>
  rules.some((rule) => rule.method === method && pathMatches(rule.path, path))

function segmentPattern(segment: string): string {
  if (/^\*+$/.test(segment)) return '.+'
  const [, text = '', end = ''] = /^(.*?)(\**)$/s.exec(segment) ?? []
  const middle = text.split(/\*+/).map(escape).join('[^/]*')
  return end === '' ? middle : `${middle}(?:/.*)?`
}

const escape = (text: string) => text.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`)

/** Length and form of a rule's path: begins with a slash, printable ASCII, at most 512 characters, at most 8 wildcards. */
export const isRulePath = (path: string): boolean =>
  /^\/[\x21-\x7e]{0,511}$/.test(path) && path.split('*').length <= 9

/** Reads `GET /dedicated/server*` (as on the command line); null when it is no rule. */
export function parseAccessRule(text: string): AccessRule | null {
  const [, word, path] = /^([A-Z]+) +(\S+)$/.exec(text) ?? []
  const method = ruleMethods.find((name) => name === word)
  return method !== undefined && path !== undefined && isRulePath(path) ? { method, path } : null
}
