import { isIP } from 'node:net'
import { InvalidArgumentError } from 'commander'

/** Values of the arguments of `byoi up`. What cannot be meant is an `InvalidArgumentError`, which quotes the value. */

export interface Address {
  host: string
  /** 0: any that is free. */
  port: number
}

export const mebibyte = 1024 * 1024
const units: Record<string, number> = { '': 1, K: 1024, M: mebibyte, G: 1024 * mebibyte }

export function parseSize(text: string): number {
  const [, digits, unit] = /^([0-9]{1,12})([KMG]?)(?:iB)?$/.exec(text) ?? []
  const size = Number(digits) * (units[unit ?? ''] ?? 1)
  if (digits === undefined || !Number.isSafeInteger(size)) {
    throw new InvalidArgumentError('Write a size in bytes, or like 256MiB.')
  }
  return size
}

export function parseDays(text: string): number {
  const days = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (days < 1) throw new InvalidArgumentError('Write a whole number of days from 1.')
  return days
}

export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > 65_535) throw new InvalidArgumentError('Write HOST:PORT or [IPv6]:PORT.')
  return { host, port }
}

export function parseLoopback(text: string): Address {
  const address = parseAddress(text)
  const loopback =
    address.host === 'localhost' || address.host === '::1' || /^127(\.\d{1,3}){3}$/.test(address.host)
  if (!loopback) throw new InvalidArgumentError('Plain HTTP is served on loopback addresses only.')
  return address
}

export const isDatabaseUrl = (text: string): boolean =>
  URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol)

export function collectUrl(text: string, previous: string[]): string[] {
  return [...previous, parseUrl(text).replace(/\/(?:1\.0|v1)$/, '')]
}

/** Without a slash at the end. */
export function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const plain = url !== null && url.search === '' && url.hash === ''
  if (!plain || !/^https?:$/.test(url.protocol)) throw new InvalidArgumentError('Write an http or https URL.')
  return text.replace(/\/+$/, '')
}

export function parseSecureUrl(text: string): string {
  if (!text.startsWith('https:')) throw new InvalidArgumentError('Agents call over https only.')
  return parseUrl(text)
}

export function collectCidr(text: string, previous: string[]): string[] {
  const [address = '', bits = ''] = text.split('/')
  const family = isIP(address)
  const good = family !== 0 && /^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  if (!good) throw new InvalidArgumentError('Write addresses as 127.0.0.0/8 or fd00::/8.')
  return [...previous, text]
}

export function parseLevel(text: string): string {
  if (!['debug', 'info', 'warn', 'error', 'fatal'].includes(text)) {
    throw new InvalidArgumentError('Use debug, info, warn, error or fatal.')
  }
  return text
}

/** Such a URL is refused without being quoted. */
export const hasUserInfo = (url: string): boolean =>
  new URL(url).username !== '' || new URL(url).password !== ''
