import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AgentBoot, type NetworkConfig } from './agent-boot.ts'
import { BadParameter } from './bad-parameter.ts'
import { checkAgentBoot } from './check-agent-boot.ts'
import { isEfiPath } from './efi-path.ts'

const mac = '52:54:00:77:00:01'
const other = '52:54:00:77:00:02'

const boot = (change: Partial<AgentBoot> = {}): AgentBoot => ({
  way: 'netboot',
  macs: [mac],
  kernelWords: '',
  network: null,
  ...change,
})

const network = (change: Partial<NetworkConfig> = {}): AgentBoot =>
  boot({
    network: {
      ports: [],
      bond: null,
      vlan: null,
      mtu: null,
      ipv4: { method: 'dhcp' },
      ipv6: { method: 'slaac' },
      nameservers: [],
      ...change,
    },
  })

const fixed = (address: string, gateway: string | null = null) => ({
  method: 'static' as const,
  address,
  gateway,
})

describe('agentBoot is accepted with', () => {
  const good: [string, AgentBoot, 'uefi' | 'legacy'][] = [
    ['one port', boot(), 'legacy'],
    ['no port, for virtual media', boot({ way: 'virtual-media', macs: [] }), 'uefi'],
    ['the firmware fetching the ISO', boot({ way: 'uefi-http' }), 'uefi'],
    ['kernel words', boot({ kernelWords: 'console=ttyS1,115200  ip=off pci=nocrs,noaer' }), 'uefi'],
    ['a bond of two ports', network({ ports: [mac, other], bond: '802.3ad', vlan: 7 }), 'uefi'],
    [
      'addresses of its own',
      network({
        ipv4: fixed('10.0.0.5/24', '10.0.0.1'),
        ipv6: fixed('fd00::5/64', 'fe80::1'),
        nameservers: ['10.0.0.1', 'fd00::1'],
      }),
      'uefi',
    ],
    ['IPv6 alone', network({ ipv4: { method: 'none' } }), 'uefi'],
  ]
  for (const [what, agentBoot, firmware] of good) test(what, () => checkAgentBoot(agentBoot, firmware))
})

describe('agentBoot is refused, naming the member, with', () => {
  const bad: [string, AgentBoot, string][] = [
    ['no port to boot from', boot({ macs: [] }), 'macs'],
    ['one port twice', boot({ macs: [mac, mac] }), 'macs'],
    ['HTTP boot of legacy firmware', boot({ way: 'uefi-http' }), 'way'],
    ['a variable of iPXE in a kernel word', boot({ kernelWords: 'a=${net0/ip}' }), 'kernelWords'],
    ['a second command in a kernel word', boot({ kernelWords: 'a || shell' }), 'kernelWords'],
    ['a quote in a kernel word', boot({ kernelWords: `a='b'` }), 'kernelWords'],
    ['two ports without a bond', network({ ports: [mac, other] }), 'network.ports'],
    ['a bond of no ports', network({ bond: 'active-backup' }), 'network.ports'],
    ['no address at all', network({ ipv4: { method: 'none' }, ipv6: { method: 'none' } }), 'network.ipv4'],
    ['an address without a prefix', network({ ipv4: fixed('10.0.0.5') }), 'network.ipv4.address'],
    ['a prefix that is too long', network({ ipv4: fixed('10.0.0.5/33') }), 'network.ipv4.address'],
    ['an address of the other family', network({ ipv6: fixed('10.0.0.5/24') }), 'network.ipv6.address'],
    ['a gateway that is none', network({ ipv4: fixed('10.0.0.5/24', '10.0.0') }), 'network.ipv4.gateway'],
    ['a name server that is none', network({ nameservers: ['1.2.3.4/8'] }), 'network.nameservers'],
  ]
  for (const [what, agentBoot, field] of bad) {
    test(what, () => {
      assert.throws(
        () => checkAgentBoot(agentBoot, agentBoot.way === 'uefi-http' ? 'legacy' : 'uefi'),
        (error: unknown) => error instanceof BadParameter && error.field === `agentBoot.${field}`,
      )
    })
  }
})

describe('A loader path', () => {
  const cases: [string, boolean][] = [
    [String.raw`\efi\debian\grubx64.efi`, true],
    [String.raw`\EFI\BOOT\BOOTX64.EFI`, true],
    [String.raw`\shimx64.efi`, true],
    ['/efi/debian/grubx64.efi', false],
    [String.raw`efi\debian\grubx64.efi`, false],
    [String.raw`\efi\..\grubx64.efi`, false],
    [String.raw`\efi\\grubx64.efi`, false],
    [String.raw`\efi\debian\grubx64`, false],
    ['\\efi\\a\nb\\grubx64.efi', false],
    [String.raw`\efi\a:b\grubx64.efi`, false],
    [`\\${'a'.repeat(255)}.efi`, false],
    ['', false],
  ]
  for (const [path, good] of cases)
    test(`${JSON.stringify(path).slice(0, 40)} is ${good ? '' : 'not '}one`, () => {
      assert.equal(isEfiPath(path), good)
    })
})
