import { BlockList, isIP, isIPv4 } from 'node:net'

/** Which addresses and ports may be fetched from. Built-in denials: loopback, link-local, multicast and so on. */
export interface AddressPolicy {
  /** CIDR blocks allowed although built-in rules deny them, e.g. `127.0.0.0/8`. */
  allow: string[]
  /** CIDR blocks denied beside the built-in ones; deny wins over allow. */
  deny: string[]
  /** RFC 1918 and ULA addresses allowed. */
  allowPrivate: boolean
  /** Ports never fetched from; 0 always is denied. */
  denyPorts: number[]
}

/** Special-purpose addresses (IANA registries of RFC 6890) and the metadata services of clouds. The first match names it. */
const DENIED: [what: string, blocks: BlockList][] = [
  ['a loopback address', list('127.0.0.0/8', '::1/128')],
  ['an unspecified address', list('0.0.0.0/8', '::/128')],
  [
    'the address of a metadata service',
    list('169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fd20:ce::254'),
  ],
  ['a link-local address', list('169.254.0.0/16', 'fe80::/10')],
  ['the broadcast address', list('255.255.255.255')],
  ['a multicast address', list('224.0.0.0/4', 'ff00::/8')],
  [
    'a documentation address',
    list('192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'),
  ],
  ['a benchmarking address', list('198.18.0.0/15', '2001:2::/48')],
  ['a tunnel address', list('192.88.99.0/24', '2001::/32')],
  ['a reserved address', list('192.0.0.0/24', '240.0.0.0/4', '2001:10::/28', '2001:20::/28')],
]

/** Private by RFC 1918, RFC 4193 and, for networks between provider and customer, RFC 6598. */
const PRIVATE = list('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')

/** All that IANA has given out as global unicast; anything else is not meant to be reached. */
const GLOBAL_V6 = list('2000::/3')

/**
 * Why `address` (IPv4 or IPv6 as text) may not be fetched from, as the end of the sentence "<address> is ...", or null
 * when it may. An IPv6 address that stands for an IPv4 one is judged by that too: ::ffff:0:0/96 (RFC 4291 section
 * 2.5.5.2), 64:ff9b::/96 (RFC 6052), 2002::/16 (RFC 3056).
 * @throws RangeError where the policy holds a text that is no CIDR block.
 */
export function judgeAddress(address: string, policy: AddressPolicy): string | null {
  const bare = address.replace(/%.*$/, '') // the zone of a link-local address
  if (isIP(bare) === 0) return 'not an IP address'
  if (has(list(...policy.deny), bare)) return 'denied by the operator'
  if (has(list(...policy.allow), bare)) return null
  const inner = isIPv4(bare) ? null : embeddedIpv4(bare)
  const innerReason = inner === null ? null : judgeAddress(inner, policy)
  if (innerReason !== null) return `${innerReason} (${inner})`
  const found = DENIED.find(([, blocks]) => has(blocks, bare))
  if (found) return found[0]
  if (inner !== null) return null
  if (has(PRIVATE, bare)) return policy.allowPrivate ? null : 'a private address'
  return isIPv4(bare) || has(GLOBAL_V6, bare) ? null : 'a reserved address'
}

/** A BlockList of CIDR blocks and single addresses. */
function list(...blocks: string[]): BlockList {
  const result = new BlockList()
  for (const block of blocks) {
    const [address = '', prefix] = block.split('/')
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    const bits = family === 'ipv4' ? 32 : 128
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
    if (isIP(address) === 0 || !(length <= bits)) throw new RangeError(`'${block}' is not a CIDR block.`)
    result.addSubnet(address, length, family)
  }
  return result
}

const has = (blocks: BlockList, address: string): boolean =>
  blocks.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')

function embeddedIpv4(address: string): string | null {
  const words = ipv6Words(address)
  const isZero = (from: number, to: number): boolean => words.slice(from, to).every((word) => word === 0)
  if (words[0] === 0x2002) return ipv4Of(words, 1)
  if (words[0] === 0x64 && words[1] === 0xff9b && isZero(2, 6)) return ipv4Of(words, 6)
  return isZero(0, 5) && words[5] === 0xffff ? ipv4Of(words, 6) : null
}

function ipv4Of(words: number[], at: number): string {
  const [high = 0, low = 0] = words.slice(at, at + 2)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

/** The eight 16-bit words of an IPv6 address. The URL parser brings any spelling into one form. */
function ipv6Words(address: string): number[] {
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const [head = '', tail] = text.split('::')
  const front = hexWords(head)
  if (tail === undefined) return front
  const back = hexWords(tail)
  return [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back]
}

const hexWords = (text: string): number[] =>
  text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))
