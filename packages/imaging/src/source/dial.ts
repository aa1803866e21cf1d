import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP, type OnReadOpts } from 'node:net'
import {
  connect as connectTls,
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
  type SecureContext,
} from 'node:tls'
import { ImagingError } from '../error.ts'
import { type AddressPolicy, judgeAddress } from './address-policy.ts'
import { Connection } from './connection.ts'
import { cancelled, checkServer, Lost, refused } from './fault.ts'
import type { Target } from './target.ts'

/**
 * Connects to a target within `timeout` ms. The name is looked up here and now, every address is judged, and the
 * connection goes to an address that was judged: there is no second look-up which could answer otherwise.
 * Addresses that are denied are skipped; the others are tried in the resolver's order, each with an equal share of the time.
 * @throws ImagingError DOWNLOAD where no address is allowed or the certificate is not trusted, CANCELLED; Lost
 */
export async function dial(
  target: Target,
  policy: AddressPolicy,
  timeout: number,
  signal: AbortSignal,
): Promise<Connection> {
  const deadline = performance.now() + timeout
  const addresses = await within(timeout, signal, allowedAddresses(target.host, policy)).catch(
    (error: Error) => {
      throw error instanceof ImagingError ? error : connectFailure(target, error)
    },
  )
  let failure: Error = tooSlow(target)
  for (const [index, address] of addresses.entries()) {
    const left = (deadline - performance.now()) / (addresses.length - index)
    if (left <= 0) break
    try {
      return await connect(target, address, left, signal)
    } catch (error) {
      if (signal.aborted) throw error
      failure = connectFailure(target, error as Error)
    }
  }
  throw failure
}

async function connect(
  target: Target,
  address: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Connection> {
  const { port, secure, host } = target
  const connection = new Connection((onread) => {
    if (!secure) return connectTcp({ host: address, port, onread })
    // The certificate must be for the name in the URL, not for the address that we connect to.
    const servername = isIP(host) === 0 ? { servername: host } : {}
    const trust = { secureContext: trustedContext(), rejectUnauthorized: true, ALPNProtocols: ['http/1.1'] }
    // Node documents `onread` for tls.connect; its types leave it out.
    const options: ConnectionOptions & { onread: OnReadOpts } = {
      host: address,
      port,
      onread,
      ...servername,
      ...trust,
    }
    return connectTls(options)
  })
  try {
    await within(timeout, signal, connection.ready(secure ? 'secureConnect' : 'connect'))
    return connection
  } catch (error) {
    connection.destroy()
    throw error
  }
}

async function allowedAddresses(host: string, policy: AddressPolicy): Promise<string[]> {
  const addresses = isIP(host) === 0 ? await resolve(host) : [host]
  const judged = addresses.map((address) => ({ address, reason: judgeAddress(address, policy) }))
  const allowed = judged.filter(({ reason }) => reason === null).map(({ address }) => address)
  const [denied] = judged
  if (allowed.length > 0 || !denied) return allowed
  const name = denied.address === host ? host : `${host} is ${denied.address}, which`
  throw refused(
    `${name} is ${denied.reason}, from which this deployment may not fetch.`,
    'Use an image server that may be fetched from, or have the operator allow its address.',
  )
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new UnknownHost(`The name ${host} could not be resolved (${code}).`, code !== 'ENOTFOUND')
  }
}

/** A name without an address. `mayPass`: the resolver failed, rather than that it said there is none. */
export class UnknownHost extends Lost {
  readonly mayPass: boolean

  constructor(cause: string, mayPass: boolean) {
    super('DOWNLOAD', cause, 'Check the host name in the URL and the DNS servers of the network.')
    this.mayPass = mayPass
  }
}

let context: SecureContext | undefined

/** Trusts what Node ships, what NODE_EXTRA_CA_CERTS adds and what the system trusts. Made once: it parses 300 certificates. */
function trustedContext(): SecureContext {
  context ??= createSecureContext({
    ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])],
    minVersion: 'TLSv1.2',
  })
  return context
}

const CERTIFICATE: Record<string, string> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_REVOKED: 'has been revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'comes from an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'comes from an authority that is not trusted',
}

const REACH: Record<string, string> = {
  ECONNREFUSED: 'refused the connection',
  ECONNRESET: 'reset the connection while it was being made',
  ETIMEDOUT: 'did not answer in time',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached, for there is no route to its network',
}

function connectFailure({ host, port }: Target, error: Error): Lost | ImagingError {
  if (error instanceof Lost) return error
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  const certificate = CERTIFICATE[code]
  if (certificate !== undefined) {
    return refused(
      `The certificate of ${host} ${certificate}.`,
      'Give the image server a valid certificate from an authority that the deployed servers trust, and check their clock.',
    )
  }
  if (
    code.startsWith('ERR_SSL') ||
    code.startsWith('ERR_TLS') ||
    code.includes('CERT') ||
    code === 'EPROTO'
  ) {
    return refused(
      `No secure connection to ${host} could be agreed on (${code}).`,
      'Make the image server offer TLS 1.2 or 1.3 on that port with a certificate that is in order.',
    )
  }
  return new Lost(
    'DOWNLOAD',
    `${host} port ${port} ${REACH[code] ?? 'could not be connected to'} (${code}).`,
    checkServer,
  )
}

const tooSlow = ({ host, port }: Target) =>
  new Lost('DOWNLOAD', `${host} port ${port} did not accept a connection in time.`, checkServer)

/** `promise`, or a rejection with ETIMEDOUT after `ms`, or CANCELLED once `signal` says so. */
async function within<T>(ms: number, signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(reject, ms, Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }))
  const stop = (): void => reject(cancelled())
  signal.addEventListener('abort', stop)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}
