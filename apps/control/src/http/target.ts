import { serviceNamePattern } from '@byoi/contract'

/** Stands for a name that cannot exist. Not a legal serviceName, so no rule and no row has it. */
export const impossibleName = '~'

const serviceName = new RegExp(serviceNamePattern)
/** Calls below a server; a malformed path that ends in one is answered like that call on a server that is absent. */
const serverCalls = new Map([
  ['bringYourOwnImage', ['bringYourOwnImage']],
  ['deployment', ['deployment']],
  ['rescue', ['rescue']],
  ['serial', ['serial']],
  ['ticket', ['serial', 'ticket']],
])

/**
 * The router's URL for a raw request target. `/v1` is `/1.0`; slashes before and after the version are tolerated, since
 * go-ovh with a trailing slash in its endpoint sends `/1.0//auth/time`; a trailing slash is dropped. Segments are decoded
 * once. A path that reads differently when read twice (`..`, encoded slashes, `;`, inner `//` ...) never reaches a handler by
 * another name: it is given an impossible one, and ends in the same 404 as an absent server. Targets outside the
 * API are left alone. The signature is judged over the raw target, elsewhere.
 */
export function routeOf(target: string): string {
  const [raw, query] = splitQuery(target)
  const version = /^\/+(?:1\.0|v1)(?:\/+|$)/.exec(raw)
  if (version === null) return target
  const segments = decode(raw.slice(version[0].length).replace(/\/$/, ''))
  return `/1.0/${canonical(segments).join('/')}${query}`
}

function splitQuery(target: string): [string, string] {
  const at = target.indexOf('?')
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at)]
}

interface Decoded {
  segments: string[]
  clean: boolean
}

function decode(path: string): Decoded {
  const raw = path.split('/')
  const segments = raw.map(decodeOnce)
  const clean = segments.every((text) => /^[A-Za-z0-9._~@:+-]+$/.test(text) && text !== '.' && text !== '..')
  return { segments, clean }
}

function decodeOnce(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return ''
  }
}

function canonical({ segments, clean }: Decoded): string[] {
  const [first = '', second = '', name, ...rest] = segments
  const ofServer = second === 'server' && (first === 'dedicated' || first === 'byoi')
  if (ofServer && name !== undefined) {
    if (clean) return [first, second, serviceName.test(name) ? name : impossibleName, ...rest]
    return [first, second, impossibleName, ...(serverCalls.get(segments.at(-1) ?? '') ?? [])]
  }
  return clean ? segments : [impossibleName]
}
