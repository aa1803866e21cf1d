import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isIPv4 } from 'node:net'
import { type Action, addAddress, defaultRoute, ip } from './action.ts'

/** What a DHCP server has given. */
export interface Lease {
  /** With its prefix length. */
  address: string
  gateway: string | null
  nameservers: string[]
  /** Bytes; one that IPv6 could not live with is not taken. */
  mtu: number | null
  server: string | null
}

/** A running DHCP client: it renews its lease until it is stopped. */
export interface DhcpClient {
  stop(): void
}

/** Called by udhcpc for each event, with what it knows in its environment: hands all of it over, an empty entry behind it. */
const eventScript = `#!/bin/sh
env -0 event="$1"
printf '\\0'
`

/** Tries of a round and seconds between them, then seconds of rest; rounds go on until there is a lease. */
const patience = ['-t', '4', '-T', '2', '-A', '3']

/** Until a client that has ended is started again, in ms. */
const againMs = 3000

export interface DhcpEvents {
  /** The first lease, and each one that differs from the last. */
  onLease: (lease: Lease) => void
  /** The client has ended by itself; it is started again. */
  onEnd: (why: string) => void
}

/**
 * Runs busybox's udhcpc on a link. A lease that expires is kept until another takes its place: a deployment of hours must not end because
 * its DHCP server did.
 *
 * @param directory Where the client's event script is put.
 */
export function startDhcp(link: string, directory: string, { onLease, onEnd }: DhcpEvents): DhcpClient {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const script = join(directory, 'udhcpc-event')
  writeFileSync(script, eventScript, { mode: 0o700 })
  const take = newLeases(onLease)
  let client: ChildProcess | undefined
  let again: NodeJS.Timeout | undefined
  let stopped = false
  const start = () => {
    const argv = ['udhcpc', '-f', '-i', link, '-s', script, '-O', 'mtu', ...patience]
    client = spawn('busybox', argv, { stdio: ['ignore', 'pipe', 'ignore'] })
    readEvents(client, take)
    client.on('error', (error) => onEnd(error.message))
    client.on('exit', (status, killed) => {
      if (stopped) return
      onEnd(`udhcpc ended with status ${status ?? killed}`)
      again = setTimeout(start, againMs)
    })
  }
  start()
  return {
    stop: () => {
      stopped = true
      clearTimeout(again)
      client?.kill('SIGKILL')
    },
  }
}

/** Passes on the first lease and each one that differs from the last. */
function newLeases(onLease: DhcpEvents['onLease']): (event: Map<string, string>) => void {
  let last = ''
  return (event) => {
    const lease = leaseOf(event)
    const text = JSON.stringify(lease)
    if (lease === null || text === last) return
    last = text
    onLease(lease)
  }
}

/** Longest text of one event, in characters: options of one UDP packet, each as text, and the agent's own environment. */
const longestEvent = 256 * 1024

function readEvents(client: ChildProcess, onEvent: (event: Map<string, string>) => void): void {
  let text = ''
  client.stdout?.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
    for (let end = text.indexOf('\0\0'); end >= 0; end = text.indexOf('\0\0')) {
      const entries = text.slice(0, end).split('\0')
      text = text.slice(end + 2)
      onEvent(new Map(entries.map((entry) => splitAt(entry, entry.indexOf('=')))))
    }
    if (text.length > longestEvent) client.kill('SIGKILL')
  })
}

const splitAt = (entry: string, at: number): [string, string] => [entry.slice(0, at), entry.slice(at + 1)]

/** null where the event is no lease, or one that cannot be used. */
export function leaseOf(event: ReadonlyMap<string, string>): Lease | null {
  const kind = event.get('event')
  const address = event.get('ip') ?? ''
  // The prefix length; `subnet` is the same as a mask.
  const prefix = Number(event.get('mask') ?? '32')
  const isUsable = isIPv4(address) && Number.isInteger(prefix) && prefix >= 1 && prefix <= 32
  if ((kind !== 'bound' && kind !== 'renew') || !isUsable) return null
  const listed = (name: string) => (event.get(name) ?? '').split(' ').filter((each) => isIPv4(each))
  const mtu = Number(event.get('mtu') ?? '')
  return {
    address: `${address}/${prefix}`,
    gateway: listed('router')[0] ?? null,
    nameservers: listed('dns'),
    mtu: Number.isInteger(mtu) && mtu >= 1280 && mtu <= 9216 ? mtu : null,
    server: listed('serverid')[0] ?? null,
  }
}

/**
 * What a lease changes on its link: the new address comes before the former one goes. `recordedMtu`: by the server's record, which
 * knows better.
 */
export function leaseActions(
  lease: Lease,
  former: Lease | undefined,
  link: string,
  recordedMtu: number | null,
): Action[] {
  const { address, gateway, mtu } = lease
  const leaves = former !== undefined && former.address !== address
  return [
    ...(mtu === null || recordedMtu !== null ? [] : [ip('link', 'set', link, 'mtu', String(mtu))]),
    addAddress(address, link),
    ...(leaves ? [ip('addr', 'del', former.address, 'dev', link)] : []),
    ...(gateway === null ? [] : [defaultRoute(gateway, link)]),
  ]
}
