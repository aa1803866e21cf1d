import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkConfig } from '@byoi/contract'
import { TestNetwork, namespacesMissing } from './namespaces.fixture.ts'

const dhcp = '--dhcp-range=10.77.0.100,10.77.0.110,255.255.255.0,1h'
const advertisements = ['--enable-ra', '--dhcp-range=fd77::,ra-only,64']

const config = (changes: Partial<NetworkConfig>): NetworkConfig => ({
  ports: [],
  bond: null,
  vlan: null,
  mtu: null,
  ipv4: { method: 'none' },
  ipv6: { method: 'none' },
  nameservers: [],
  ...changes,
})

const mac = (network: TestNetwork, link: string): string =>
  /link\/ether (\S+)/.exec(network.inServer('link', 'show', link))?.[1] ?? ''

describe('The network of a server in RAM', { concurrency: 4, skip: namespacesMissing() }, () => {
  test('by DHCP, without a record: address, route, nameserver and the control plane by its name', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0', dhcp)
    const lines = await network.bringUp({})
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.match(network.addresses('eth0').join(' '), /^10\.77\.0\.1[01]\d\/24$/)
    assert.deepEqual(network.defaultRoutes('-4'), ['via 10.77.0.1 dev eth0'])
    assert.equal(network.resolvConf(), 'nameserver 10.77.0.1\n')
    assert.match(lines.join('\n'), /^Carrier: eth0 .*\.$/m)
    assert.match(
      lines.at(-2) ?? '',
      /^eth0: 10\.77\.0\.1\d\d\/24 \(DHCP of 10\.77\.0\.1\), gateway 10\.77\.0\.1; the control plane is reached\.$/,
    )
  })

  test('a DHCP server that comes later is waited for', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    const lines = network.bringUp({})
    await sleep(8000)
    await network.serve('br0', dhcp)
    assert.equal((await lines).at(-1), 'reached')
    assert.match((await lines).join('\n'), /^eth0: no address yet; the control plane is not reached: /m)
  })

  test('a cable that is put in later is waited for', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0', dhcp)
    network.inLan('link', 'set', 'lan0', 'down')
    const lines = network.bringUp({})
    await sleep(3000)
    network.inLan('link', 'set', 'lan0', 'up')
    assert.equal((await lines).at(-1), 'reached')
  })

  test('static IPv4, with a nameserver and an MTU of the record', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0')
    const ipv4 = { method: 'static', address: '10.77.0.5/24', gateway: '10.77.0.1' } as const
    const lines = await network.bringUp({
      config: config({ ports: [mac(network, 'eth0')], ipv4, nameservers: ['10.77.0.1'], mtu: 1400 }),
    })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.deepEqual(network.addresses('eth0'), ['10.77.0.5/24'])
    assert.deepEqual(network.defaultRoutes('-4'), ['via 10.77.0.1 dev eth0'])
    assert.equal(network.links().find(({ ifname }) => ifname === 'eth0')?.mtu, 1400)
  })

  test('static IPv4 of one address, its gateway outside of it', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    network.inLan('route', 'add', '203.0.113.7/32', 'dev', 'br0')
    await network.serve('br0')
    const ipv4 = { method: 'static', address: '203.0.113.7/32', gateway: '10.77.0.1' } as const
    const lines = await network.bringUp({ config: config({ ipv4 }), controlUrl: 'https://10.77.0.1:53' })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.deepEqual(network.addresses('eth0'), ['203.0.113.7/32'])
  })

  test('IPv6 by router advertisement alone', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0', ...advertisements)
    const lines = await network.bringUp({
      config: config({ ipv6: { method: 'slaac' } }),
      controlUrl: 'https://[fd77::1]:53',
    })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.match(network.addresses('eth0').join(' '), /^fd77::.*\/64$/)
    assert.match(network.defaultRoutes('-6').join(' '), /^via fe80::\S+ dev eth0$/)
    assert.deepEqual(network.defaultRoutes('-4'), [])
  })

  test('without a record IPv6 alone will do where nothing answers DHCP', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0', ...advertisements)
    const lines = await network.bringUp({ controlUrl: 'https://[fd77::1]:53' })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
  })

  test('static IPv6, whatever a router advertises', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.bridge('lan0')
    await network.serve('br0', ...advertisements)
    const ipv6 = { method: 'static', address: 'fd77::5/64', gateway: 'fd77::1' } as const
    const lines = await network.bringUp({ config: config({ ipv6 }), controlUrl: 'https://[fd77::1]:53' })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.deepEqual(network.addresses('eth0'), ['fd77::5/64'])
    assert.deepEqual(network.defaultRoutes('-6'), ['via fd77::1 dev eth0'])
  })

  test('of two ports, the one that has a carrier', async (t) => {
    const network = TestNetwork.start(t, 2)
    network.bridge('lan0', 'lan1')
    network.inLan('link', 'set', 'lan0', 'down')
    await network.serve('br0', dhcp, ...advertisements)
    const lines = await network.bringUp({})
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.deepEqual(network.addresses('eth0'), [])
    assert.match(network.addresses('eth1').join(' '), /10\.77\.0\.1\d\d\/24/)
  })

  test('of two ports with a carrier, the one that leads to the control plane; the other keeps no address', async (t) => {
    const network = TestNetwork.start(t, 2)
    network.bridge('lan1')
    // Another network, whose DHCP server knows no way out.
    network.inLan('addr', 'add', '10.78.0.1/24', 'dev', 'lan0')
    await network.serve(
      'lan0',
      '--port=0',
      '--dhcp-range=10.78.0.100,10.78.0.110,255.255.255.0,1h',
      '--dhcp-option=3',
    )
    await network.serve('br0', dhcp)
    const lines = await network.bringUp({})
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.match(lines.join('\n'), /^eth0: 10\.78\.0\.1\d\d\/24 .*; the control plane is not reached: /m)
    assert.deepEqual(network.addresses('eth0'), [])
    assert.deepEqual(network.defaultRoutes('-4'), ['via 10.77.0.1 dev eth1'])
  })

  test('no carrier until patience ends is told, with the ports that there are', async (t) => {
    const network = TestNetwork.start(t, 1)
    network.inLan('link', 'set', 'lan0', 'down')
    const lines = await network.bringUp({ patienceMs: 22_000 })
    assert.match(lines.join('\n'), /^No carrier: eth0 \S+.*\. Check the cables and the switch\.$/m)
    assert.equal(lines.at(-1), 'failed: No way to the control plane was found within 22 s.')
  })
})

describe('The network of a server in RAM, over links made of others', { concurrency: 2 }, () => {
  test('a VLAN by DHCP', { skip: namespacesMissing('vlan') }, async (t) => {
    const network = TestNetwork.start(t, 1)
    network.inLan('link', 'add', 'link', 'lan0', 'name', 'tagged', 'type', 'vlan', 'id', '5')
    network.address('tagged')
    await network.serve('tagged', dhcp, ...advertisements)
    const lines = await network.bringUp({
      config: config({ vlan: 5, ipv4: { method: 'dhcp' }, ipv6: { method: 'slaac' } }),
    })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    assert.match(network.addresses('byoi-vlan').join(' '), /10\.77\.0\.1\d\d\/24/)
    assert.deepEqual(network.addresses('eth0'), [])
  })

  test('a bond in active-backup goes on when its first cable is pulled', {
    skip: namespacesMissing('bond'),
  }, async (t) => {
    const network = TestNetwork.start(t, 2)
    network.bridge('lan0', 'lan1')
    await network.serve('br0', dhcp)
    const ports = ['eth0', 'eth1'].map((link) => mac(network, link))
    const lines = await network.bringUp({
      config: config({ ports, bond: 'active-backup', ipv4: { method: 'dhcp' } }),
    })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    network.inLan('link', 'set', 'lan0', 'down')
    network.inServer('-s', 'link')
    assert.match(network.ping('10.77.0.1'), /[1-9]\d* packets received/)
  })

  test('a VLAN on a bond by LACP', { skip: namespacesMissing('vlan', 'bond') }, async (t) => {
    const network = TestNetwork.start(t, 2)
    network.inLan('link', 'add', 'bond9', 'type', 'bond', 'mode', '802.3ad', 'miimon', '100')
    for (const end of ['lan0', 'lan1']) {
      network.inLan('link', 'set', end, 'down')
      network.inLan('link', 'set', end, 'master', 'bond9')
    }
    network.inLan('link', 'set', 'bond9', 'up')
    network.inLan('link', 'add', 'link', 'bond9', 'name', 'tagged', 'type', 'vlan', 'id', '7')
    network.address('tagged')
    await network.serve('tagged', dhcp)
    const ports = ['eth0', 'eth1'].map((link) => mac(network, link))
    const lines = await network.bringUp({
      config: config({ ports, bond: '802.3ad', vlan: 7, mtu: 1400, ipv4: { method: 'dhcp' } }),
    })
    assert.equal(lines.at(-1), 'reached', lines.join('\n'))
    await network.untilBonded(2)
    for (const name of ['byoi-bond', 'byoi-vlan'])
      assert.equal(network.links().find(({ ifname }) => ifname === name)?.mtu, 1400)
  })
})
