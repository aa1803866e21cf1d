import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { NetworkConfig, NicFacts } from '@byoi/contract'
import { type Lease, leaseActions, leaseOf } from './dhcp.ts'
import type { Action } from './action.ts'
import { planNetwork, portUp } from './network-plan.ts'
import { resolvConf } from './resolv-conf.ts'

const nic = (name: string, mac: string, driver = 'igb'): NicFacts => ({
  name,
  mac,
  driver,
  carrier: true,
  speed: null,
})

const eth0 = nic('eth0', '52:54:00:00:00:01')
const eth1 = nic('eth1', '52:54:00:00:00:02')
const usb0 = nic('usb0', '52:54:00:00:00:03', 'cdc_ether')

const config = (changes: Partial<NetworkConfig>): NetworkConfig => ({
  ports: [],
  bond: null,
  vlan: null,
  mtu: null,
  ipv4: { method: 'dhcp' },
  ipv6: { method: 'slaac' },
  nameservers: [],
  ...changes,
})

/** One line an action, for tables that can be read: a command as it is typed, a setting below conf/ as `LINK/NAME=VALUE`. */
const line = (action: Action): string =>
  'argv' in action
    ? action.argv.join(' ')
    : `${action.write.replace('/proc/sys/net/ipv6/conf/', '')}=${action.value}`

const slaac = (link: string) => [`${link}/accept_ra=1`, `${link}/autoconf=1`, `${link}/disable_ipv6=0`]

interface Case {
  title: string
  config: NetworkConfig | null
  found?: NicFacts[]
  name: string
  link?: string
  ports?: string[]
  setUp: string[]
  dhcp?: boolean
  tearDown?: string[]
}

const cases: Case[] = [
  {
    title: 'no record: DHCP and SLAAC',
    config: null,
    name: 'eth0',
    setUp: [...slaac('eth0'), 'ip link set eth0 up'],
    dhcp: true,
    tearDown: ['ip addr flush dev eth0', 'eth0/disable_ipv6=1'],
  },
  {
    title: 'a port by its MAC address',
    config: config({ ports: ['52:54:00:00:00:02'] }),
    found: [eth0, eth1],
    name: 'eth1',
    link: 'eth1',
    setUp: [...slaac('eth1'), 'ip link set eth1 up'],
    dhcp: true,
  },
  {
    title: 'static IPv4 with a gateway outside of the network, no IPv6',
    config: config({
      ipv4: { method: 'static', address: '203.0.113.7/32', gateway: '198.51.100.1' },
      ipv6: { method: 'none' },
    }),
    name: 'eth0',
    setUp: [
      'eth0/disable_ipv6=1',
      'ip link set eth0 up',
      'ip addr replace 203.0.113.7/32 broadcast + dev eth0',
      'ip -4 route replace default via 198.51.100.1 dev eth0 onlink',
    ],
  },
  {
    title: 'static IPv6 without a gateway, which no router may give one; no IPv4',
    config: config({
      ipv4: { method: 'none' },
      ipv6: { method: 'static', address: 'fd00::5/64', gateway: null },
    }),
    name: 'eth0',
    setUp: [
      'eth0/accept_ra=0',
      'eth0/autoconf=0',
      'eth0/disable_ipv6=0',
      'ip link set eth0 up',
      'ip -6 addr replace fd00::5/64 dev eth0',
    ],
  },
  {
    title: 'a link-local gateway of IPv6 beside DHCP',
    config: config({ ipv6: { method: 'static', address: 'fd00::5/64', gateway: 'fe80::1' } }),
    name: 'eth0',
    setUp: [
      'eth0/accept_ra=0',
      'eth0/autoconf=0',
      'eth0/disable_ipv6=0',
      'ip link set eth0 up',
      'ip -6 addr replace fd00::5/64 dev eth0',
      'ip -6 route replace default via fe80::1 dev eth0 onlink',
    ],
    dhcp: true,
  },
  {
    title: 'an MTU is set before the link comes up',
    config: config({ mtu: 9000 }),
    name: 'eth0',
    setUp: [...slaac('eth0'), 'ip link set eth0 mtu 9000', 'ip link set eth0 up'],
    dhcp: true,
  },
  {
    title: 'a VLAN; the network without a tag gives no address',
    config: config({ vlan: 5, mtu: 1400 }),
    name: 'VLAN 5 on eth0',
    link: 'byoi-vlan',
    setUp: [
      'eth0/disable_ipv6=1',
      'ip link set eth0 mtu 1400',
      'ip link set eth0 up',
      'ip link add link eth0 name byoi-vlan type vlan id 5',
      ...slaac('byoi-vlan'),
      'ip link set byoi-vlan mtu 1400',
      'ip link set byoi-vlan up',
    ],
    dhcp: true,
    tearDown: ['ip addr flush dev byoi-vlan', 'byoi-vlan/disable_ipv6=1', 'ip link del byoi-vlan'],
  },
  {
    title: 'a bond of two ports',
    config: config({ ports: [eth0.mac, eth1.mac], bond: 'active-backup' }),
    found: [eth0, eth1],
    name: 'a bond (active-backup) of eth0 and eth1',
    link: 'byoi-bond',
    ports: ['eth0', 'eth1'],
    setUp: [
      'ip link add byoi-bond type bond mode active-backup miimon 100',
      'ip link set eth0 down',
      'ip link set eth0 master byoi-bond',
      'ip link set eth1 down',
      'ip link set eth1 master byoi-bond',
      ...slaac('byoi-bond'),
      'ip link set byoi-bond up',
    ],
    dhcp: true,
    tearDown: ['ip addr flush dev byoi-bond', 'byoi-bond/disable_ipv6=1', 'ip link del byoi-bond'],
  },
  {
    title: 'a VLAN on a bond by LACP, static',
    config: config({
      ports: [eth0.mac, eth1.mac],
      bond: '802.3ad',
      vlan: 4094,
      mtu: 9000,
      ipv4: { method: 'static', address: '10.0.0.5/24', gateway: '10.0.0.1' },
      ipv6: { method: 'none' },
    }),
    found: [eth0, eth1],
    name: 'VLAN 4094 on a bond (802.3ad) of eth0 and eth1',
    link: 'byoi-vlan',
    ports: ['eth0', 'eth1'],
    setUp: [
      'ip link add byoi-bond type bond mode 802.3ad miimon 100',
      'ip link set eth0 down',
      'ip link set eth0 master byoi-bond',
      'ip link set eth1 down',
      'ip link set eth1 master byoi-bond',
      'byoi-bond/disable_ipv6=1',
      'ip link set byoi-bond mtu 9000',
      'ip link set byoi-bond up',
      'ip link add link byoi-bond name byoi-vlan type vlan id 4094',
      'byoi-vlan/disable_ipv6=1',
      'ip link set byoi-vlan mtu 9000',
      'ip link set byoi-vlan up',
      'ip addr replace 10.0.0.5/24 broadcast + dev byoi-vlan',
      'ip -4 route replace default via 10.0.0.1 dev byoi-vlan onlink',
    ],
    tearDown: [
      'ip addr flush dev byoi-vlan',
      'byoi-vlan/disable_ipv6=1',
      'ip link del byoi-vlan',
      'ip link del byoi-bond',
    ],
  },
]

describe('The plan of a network', () => {
  for (const each of cases) {
    test(each.title, () => {
      const [plan, ...others] = planNetwork(each.config, each.found ?? [eth0])
      assert.deepEqual(others, [])
      assert.ok(plan)
      assert.deepEqual(plan.setUp.map(line), each.setUp)
      assert.equal(plan.name, each.name)
      assert.equal(plan.link, each.link ?? 'eth0')
      assert.deepEqual(plan.ports, each.ports ?? [each.found?.[1]?.name ?? 'eth0'])
      assert.equal(plan.dhcp, each.dhcp ?? false)
      if (each.tearDown !== undefined) assert.deepEqual(plan.tearDown.map(line), each.tearDown)
    })
  }

  test('any port may be it: one plan each, that of a port on USB last', () => {
    const names = planNetwork(null, [usb0, eth0, eth1]).map(({ name }) => name)
    assert.deepEqual(names, ['eth0', 'eth1', 'usb0'])
  })

  test('ports come up without taking an address', () => {
    assert.deepEqual(portUp('eth0').map(line), ['eth0/disable_ipv6=1', 'ip link set eth0 up'])
  })

  test('none of the ports that the record names is told, with those that are there', () => {
    assert.throws(() => planNetwork(config({ ports: ['52:54:00:00:00:09'] }), [eth0, eth1]), {
      message:
        "The server's record names 52:54:00:00:00:09, but its ports are 52:54:00:00:00:01, 52:54:00:00:00:02.",
    })
  })

  test('a bond goes without a port that is not there', () => {
    const ports = ['52:54:00:00:00:09', eth1.mac]
    const [plan] = planNetwork(config({ ports, bond: '802.3ad' }), [eth0, eth1])
    assert.deepEqual(plan?.ports, ['eth1'])
  })

  test('no port at all is said', () => {
    assert.throws(() => planNetwork(null, []), /no Ethernet port/)
  })
})

const event = (changes: Record<string, string>) =>
  new Map(
    Object.entries({
      event: 'bound',
      ip: '10.0.2.15',
      mask: '24',
      subnet: '255.255.255.0',
      router: '10.0.2.2 10.0.2.4',
      dns: '10.0.2.3 10.0.2.4',
      serverid: '10.0.2.2',
      ...changes,
    }),
  )

const lease: Lease = {
  address: '10.0.2.15/24',
  gateway: '10.0.2.2',
  nameservers: ['10.0.2.3', '10.0.2.4'],
  mtu: null,
  server: '10.0.2.2',
}

const events: [title: string, event: ReadonlyMap<string, string>, lease: Lease | null][] = [
  ['bound', event({}), lease],
  ['renewed, with an MTU', event({ event: 'renew', mtu: '1450' }), { ...lease, mtu: 1450 }],
  ['an MTU that IPv6 could not live with', event({ mtu: '576' }), lease],
  ['an MTU that is none', event({ mtu: '1500; reboot' }), lease],
  ['a network of one', event({ mask: '32' }), { ...lease, address: '10.0.2.15/32' }],
  ['no router, no nameserver', event({ router: '', dns: '' }), { ...lease, gateway: null, nameservers: [] }],
  [
    'names and options where addresses belong',
    event({ router: '-x $(id) gateway 10.0.2.9', dns: '10.0.2.3\nsearch evil fd00::1', serverid: '' }),
    { ...lease, gateway: '10.0.2.9', nameservers: [], server: null },
  ],
  ['an address that is none', event({ ip: '10.0.2.15; reboot' }), null],
  ['no address', event({ ip: '' }), null],
  ['a prefix of 0', event({ mask: '0' }), null],
  ['a prefix that is none', event({ mask: '24 dev lo' }), null],
  ['the start of the client', event({ event: 'deconfig' }), null],
  ['a lease that has ended', event({ event: 'leasefail' }), null],
]

describe('An event of the DHCP client', () => {
  for (const [title, given, expected] of events) {
    test(`${title}: ${expected === null ? 'no lease' : 'a lease'}`, () => {
      assert.deepEqual(leaseOf(given), expected)
    })
  }
})

describe('A lease', () => {
  const cases: [
    title: string,
    lease: Lease,
    former: Lease | undefined,
    mtu: number | null,
    actions: string[],
  ][] = [
    [
      'is taken',
      lease,
      undefined,
      null,
      [
        'ip addr replace 10.0.2.15/24 broadcast + dev eth0',
        'ip -4 route replace default via 10.0.2.2 dev eth0 onlink',
      ],
    ],
    [
      'without a router changes no route',
      { ...lease, gateway: null },
      undefined,
      null,
      ['ip addr replace 10.0.2.15/24 broadcast + dev eth0'],
    ],
    [
      'with another address ends the former one after the new one is there',
      lease,
      { ...lease, address: '10.0.2.9/24' },
      null,
      [
        'ip addr replace 10.0.2.15/24 broadcast + dev eth0',
        'ip addr del 10.0.2.9/24 dev eth0',
        'ip -4 route replace default via 10.0.2.2 dev eth0 onlink',
      ],
    ],
    [
      'sets its MTU',
      { ...lease, gateway: null, mtu: 1450 },
      lease,
      null,
      ['ip link set eth0 mtu 1450', 'ip addr replace 10.0.2.15/24 broadcast + dev eth0'],
    ],
    [
      'sets no MTU where the record has one',
      { ...lease, gateway: null, mtu: 1450 },
      lease,
      9000,
      ['ip addr replace 10.0.2.15/24 broadcast + dev eth0'],
    ],
  ]
  for (const [title, given, former, mtu, actions] of cases) {
    test(title, () => assert.deepEqual(leaseActions(given, former, 'eth0', mtu).map(line), actions))
  }
})

test('the resolver gets three nameservers at most, each once, the first ones first', () => {
  assert.equal(resolvConf([]), '')
  assert.equal(
    resolvConf(['10.0.0.1', 'fd00::1', '10.0.0.1', '10.0.0.2', '10.0.0.3']),
    'nameserver 10.0.0.1\nnameserver fd00::1\nnameserver 10.0.0.2\n',
  )
})
