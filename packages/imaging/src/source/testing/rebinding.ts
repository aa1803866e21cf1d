import type { DnsRecord, DnsScript } from './dns-server.ts'

export const PUBLIC = '93.184.216.34'
/** Public, but nobody is there. */
const DEAD = '93.184.216.35'
const PUBLIC_V6 = '2606:2800:21f:cb07::1'
export const METADATA = '169.254.169.254'
export const PRIVATE = '10.0.0.1'
/** What a server of ours listens on in the namespace: a connection that should not be made would be seen. */
export const ADDRESSES = [PUBLIC, PUBLIC_V6, METADATA, PRIVATE, 'fd00:ec2::254', 'fd12::1']

export interface Scenario {
  title: string
  dns: DnsScript
  /** When the server ends a connection: after the file was opened, in the middle of its body, or as it should. */
  ends: 'opened' | 'body' | 'well'
  /** A part of the cause, or null where the image arrives. */
  cause: RegExp | null
  disk: 'untouched' | 'unbootable' | 'complete'
  /** The addresses that may be connected to. */
  reached: string[]
}

const a = (...data: string[]): DnsRecord[] => data.map((each) => ({ type: 'A', data: each }))
const aaaa = (...data: string[]): DnsRecord[] => data.map((each) => ({ type: 'AAAA', data: each }))

/** The same addresses for ever. */
const has =
  (v4: string[], v6: string[] = []): DnsScript =>
  (_, type) =>
    type === 'A' ? a(...v4) : aaaa(...v6)

/** Another address at each look-up, the last one for ever. */
const turns =
  (ttl: number, ...addresses: string[]): DnsScript =>
  (_, type, count) =>
    type === 'A'
      ? a(addresses[Math.min(count, addresses.length - 1)] ?? '').map((each) => ({ ...each, ttl }))
      : []

const alias =
  (...chain: string[]): DnsScript =>
  (name, type) => {
    const names = [name, ...chain.slice(0, -1)]
    const links = names
      .slice(1)
      .map((data, index): DnsRecord => ({ type: 'CNAME', name: names[index] ?? '', data }))
    return [
      ...links,
      ...(type === 'A' ? a(chain.at(-1) ?? '').map((each) => ({ ...each, name: names.at(-1) ?? '' })) : []),
    ]
  }

const denied = (title: string, dns: DnsScript, cause: RegExp): Scenario => ({
  title,
  dns,
  ends: 'well',
  cause,
  disk: 'untouched',
  reached: [],
})

const arrives = (title: string, dns: DnsScript, reached: string[]): Scenario => ({
  title,
  dns,
  ends: 'well',
  cause: null,
  disk: 'complete',
  reached,
})

export const scenarios: Scenario[] = [
  arrives('I3.34 a public address', has([PUBLIC]), [PUBLIC]),
  arrives('I3.34 one public and one private A record', has([PUBLIC, PRIVATE]), [PUBLIC]),
  arrives('I3.34 one private and one public A record', has([PRIVATE, METADATA, '127.0.0.1', PUBLIC]), [
    PUBLIC,
  ]),
  arrives('I3.34 public A, private AAAA', has([PUBLIC], ['fd12::1', 'fd00:ec2::254']), [PUBLIC]),
  arrives('I3.34 private A, public AAAA', has([PRIVATE], [PUBLIC_V6]), [PUBLIC_V6]),
  arrives('I3.34 public by way of a CNAME', alias('cdn.test', PUBLIC), [PUBLIC]),
  ...(['opened', 'body'] as const).flatMap((ends) =>
    [
      { to: PRIVATE, cause: /^img\.test is 10\.0\.0\.1, which is a private address/ },
      { to: METADATA, cause: /^img\.test is 169\.254\.169\.254, which is the address of a metadata service/ },
      { to: '127.0.0.1', cause: /^img\.test is 127\.0\.0\.1, which is a loopback address/ },
    ].flatMap(({ to, cause }) =>
      [0, 3600].map(
        (ttl): Scenario => ({
          title: `I3.34 public at check, ${to} at connect after ${ends === 'body' ? 'a cut' : 'opening'}, TTL ${ttl}`,
          dns: turns(ttl, PUBLIC, to),
          ends,
          cause,
          disk: ends === 'body' ? 'unbootable' : 'untouched',
          reached: [PUBLIC],
        }),
      ),
    ),
  ),
  denied('I3.34 a CNAME to an internal name', alias('db.internal.test', PRIVATE), /is a private address/),
  denied('I3.34 a chain of CNAMEs to this machine', alias('a.test', 'b.test', '127.0.0.1'), /loopback/),
  denied('I3.32 a name for the metadata service', has([METADATA]), /metadata service/),
  denied('I3.32 a name for fd00:ec2::254', has([], ['fd00:ec2::254']), /metadata service/),
  denied('I3.32 a name for 0.0.0.0', has(['0.0.0.0']), /unspecified/),
  denied('I3.32 a name for ::1', has([], ['::1']), /loopback/),
  denied('I3.34 IPv4-mapped metadata service', has([], [`::ffff:${METADATA}`]), /metadata service/),
  denied('I3.34 IPv4-mapped private address', has([], [`::ffff:${PRIVATE}`]), /private address/),
  denied('I3.34 IPv4-mapped loopback', has([], ['::ffff:127.0.0.1']), /loopback/),
  denied('I3.34 NAT64 of the metadata service', has([], ['64:ff9b::a9fe:a9fe']), /metadata service/),
  denied('I3.34 6to4 of the metadata service', has([], ['2002:a9fe:a9fe::1']), /metadata service/),
  denied('I3.32 a name without an address', () => null, /could not be resolved \(ENOTFOUND\)/),
]

/** Nobody at the public address: the private one beside it is no second choice. */
export const deadAndPrivate: DnsScript = has([DEAD, PRIVATE])
