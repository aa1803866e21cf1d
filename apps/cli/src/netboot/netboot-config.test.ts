import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type AgentBoot, type ServerAnswer } from '@byoi/contract'
import { byoi, environment, testApi } from '../api.fixture.ts'
import { findSubnet } from './subnet.ts'

const directory = mkdtempSync(join(tmpdir(), 'byoi-netboot-config-'))
after(() => rmSync(directory, { recursive: true }))

const netboot = {
  provisioningUrl: 'http://10.77.0.1:8081',
  mediaUrl: 'http://10.77.0.1:8081',
  agentUrl: 'https://10.77.0.1:8443',
  ramdisk: directory,
}

const server = (serviceName: string, agentBoot: Partial<AgentBoot> | null): ServerAnswer => ({
  serverId: 1,
  serviceName,
  account: 'a',
  boot: 'uefi',
  powerState: null,
  diskGroups: [],
  ownImage: false,
  rescueSshKey: null,
  efiBootloaderPath: null,
  createdAt: '2026-11-24T00:00:00Z',
  bmc: { kind: 'redfish', settings: {}, identity: null },
  agentBoot: agentBoot && { way: 'netboot', macs: [], kernelWords: '', network: null, ...agentBoot },
  found: null,
})

const servers = [
  server('file.example', null),
  server('net.example', { macs: ['52:54:00:77:00:01'] }),
  server('secure.example', { way: 'uefi-http', macs: ['52:54:00:77:00:02', '52:54:00:77:00:03'] }),
  server('cd.example', { way: 'virtual-media' }),
]

async function config(...args: string[]) {
  const api = await testApi({ 'GET /byoi/netboot': () => netboot, 'GET /byoi/server': () => servers })
  try {
    const where = ['--interface', 'br0', '--subnet', '10.77.0.0/24']
    return await byoi(['netboot', 'config', ...where, ...args], environment(api.endpoint))
  } finally {
    await api.close()
  }
}

const judged = (text: string) => {
  const path = join(directory, 'dnsmasq.conf')
  writeFileSync(path, text)
  return spawnSync('dnsmasq', ['--test', `--conf-file=${path}`], { encoding: 'utf8' })
}
const noDnsmasq = spawnSync('dnsmasq', ['--version']).error !== undefined && 'dnsmasq is not installed'

for (const args of [[], ['--proxy'], ['--tftp', '/srv/tftp']]) {
  test(`dnsmasq takes the configuration of netboot config ${args.join(' ')}`, {
    skip: noDnsmasq,
  }, async () => {
    const { status, stdout } = await config(...args)
    assert.equal(status, 0)
    const { stderr, status: judgement } = judged(stdout)
    assert.equal(judgement, 0, stderr)
    assert.match(stderr, /syntax check OK/)
  })
}

test('the configuration tells firmware and iPXE apart, and gives a CD to those that boot it over HTTP', async () => {
  const { stdout } = await config()
  const lines = stdout.split('\n')
  for (const line of [
    'dhcp-range=10.77.0.102,10.77.0.204,255.255.255.0,1h',
    `tftp-root=${directory}/ipxe`,
    'dhcp-boot=tag:ipxe,http://10.77.0.1:8081/netboot/boot.ipxe',
    'dhcp-boot=tag:!ipxe,tag:!iso,tag:bios,undionly.kpxe',
    'dhcp-host=52:54:00:77:00:02,set:iso,set:m525400770002',
    'dhcp-boot=tag:m525400770003,tag:efihttp,http://10.77.0.1:8081/netboot/52-54-00-77-00-03/byoi.iso',
  ])
    assert.ok(lines.includes(line), line)
  assert.ok(!lines.some((line) => line.startsWith('dhcp-host=52:54:00:77:00:01')))
  assert.match(stdout, /^# Kea .*\n(#.*\n)+# ISC dhcpd/m)
})

test('the proxy configuration gives no addresses, and says what the other DHCP server must say', async () => {
  const { stdout } = await config('--proxy')
  assert.match(stdout, /^dhcp-range=10\.77\.0\.0,proxy$/m)
  assert.match(
    stdout,
    /^pxe-service=tag:ipxe,BC_EFI,"byoi",http:\/\/10\.77\.0\.1:8081\/netboot\/boot\.ipxe$/m,
  )
  assert.match(stdout, /^# {3}52:54:00:77:00:02 {2}http.*byoi\.iso$/m)
  assert.doesNotMatch(stdout, /^dhcp-authoritative$/m)
})

test('as JSON it is one object with the configuration in it', async () => {
  const answer = JSON.parse((await config('--json')).stdout) as Record<string, string>
  assert.deepEqual([answer['mode'], answer['interface'], answer['network']], ['dhcp', 'br0', '10.77.0.0'])
  assert.match(answer['config'] ?? '', /^# dnsmasq for servers/)
})

const eth0 = { eth0: [{ address: '10.1.2.3', family: 'IPv4', cidr: '10.1.2.3/22' }] }

describe('the network of the servers', () => {
  const found: [string, Parameters<typeof findSubnet>[0], string[]][] = [
    [
      'by the address of the listener',
      { host: '10.1.2.3' },
      ['10.1.0.0', '255.255.252.0', '10.1.1.153', '10.1.3.51'],
    ],
    [
      'by its interface',
      { host: 'x', interfaceName: 'eth0' },
      ['10.1.0.0', '255.255.252.0', '10.1.1.153', '10.1.3.51'],
    ],
    [
      'as it is given',
      { host: 'x', interfaceName: 'br0', cidr: '192.0.2.9/29' },
      ['192.0.2.8', '255.255.255.248', '192.0.2.11', '192.0.2.14'],
    ],
  ]
  for (const [how, options, expected] of found) {
    test(`is found ${how}`, () => {
      const { network, mask, first, last } = findSubnet(options, eth0)
      assert.deepEqual([network, mask, first, last], expected)
    })
  }

  const wrong: [string, Parameters<typeof findSubnet>[0]][] = [
    ['no interface has the address', { host: '10.9.9.9' }],
    ['there is no such interface', { host: '10.1.2.3', interfaceName: 'eth1' }],
    ['the network has no interface', { host: '10.1.2.3', cidr: '10.0.0.0/24' }],
    ['the network is none', { host: '10.1.2.3', interfaceName: 'eth0', cidr: '10.0.0/24' }],
    ['the network is too small', { host: '10.1.2.3', interfaceName: 'eth0', cidr: '10.0.0.0/30' }],
    [
      'the interface would be a line of its own',
      { host: 'x', interfaceName: 'br0\nlog', cidr: '10.0.0.0/24' },
    ],
  ]
  for (const [what, options] of wrong) {
    test(`is wrong usage where ${what}`, () =>
      assert.throws(() => findSubnet(options, eth0), { name: 'UsageError' }))
  }
})
