import assert from 'node:assert/strict'
import { cpus, totalmem } from 'node:os'
import { test } from 'node:test'
import type { NicFacts } from '@byoi/contract'
import { globalVariable, readMachine } from './machine.ts'
import { findPorts } from './ports.ts'
import { testSysfs } from './sysfs.fixture.ts'

const port = { address: '52:54:00:12:34:56\n', type: '1\n', uevent: 'INTERFACE=eth0\nIFINDEX=2\n' }

const ports: { title: string; name: string; attributes: Record<string, string>; facts: NicFacts | null }[] = [
  {
    title: 'one with a link',
    name: 'eth0',
    attributes: { ...port, carrier: '1\n', speed: '10000\n' },
    facts: { name: 'eth0', mac: '52:54:00:12:34:56', driver: 'igb', carrier: true, speed: 10_000 },
  },
  {
    title: 'one without a link, whose speed is -1',
    name: 'eno1',
    attributes: { ...port, carrier: '0\n', speed: '-1\n' },
    facts: { name: 'eno1', mac: '52:54:00:12:34:56', driver: 'igb', carrier: false, speed: null },
  },
  {
    title: 'one that is down and says nothing, its address in capitals',
    name: 'enp3s0f1np1',
    attributes: { ...port, address: '52:54:00:AB:CD:EF\n' },
    facts: { name: 'enp3s0f1np1', mac: '52:54:00:ab:cd:ef', driver: 'igb', carrier: false, speed: null },
  },
  { title: 'no loopback', name: 'lo', attributes: { ...port, type: '772\n' }, facts: null },
  { title: 'no InfiniBand', name: 'ib0', attributes: { ...port, type: '32\n' }, facts: null },
  { title: 'no address, no port', name: 'eth1', attributes: { type: '1\n', uevent: '' }, facts: null },
  ...['bond', 'bridge', 'vlan', 'wlan'].map((kind) => ({
    title: `no ${kind}`,
    name: `${kind}0`,
    attributes: { ...port, uevent: `DEVTYPE=${kind}\nINTERFACE=${kind}0\n` },
    facts: null,
  })),
]

for (const { title, name, attributes, facts } of ports) {
  test(`Ethernet ports: ${title}`, async (t) => {
    const sysfs = testSysfs(t)
    const device = sysfs.device('pci0000:00/0000:00:03.0', {})
    sysfs.link(`${device}/driver`, sysfs.device('drivers/igb', {}))
    const folder = sysfs.device(`pci0000:00/0000:00:03.0/net/${name}`, attributes)
    sysfs.link(`${folder}/device`, device)
    sysfs.inClass('net', folder)
    assert.deepEqual(await findPorts(sysfs.path), facts === null ? [] : [facts])
  })
}

const secureBoot = `firmware/efi/efivars/SecureBoot-${globalVariable}`

test('a UEFI server with Secure Boot says so, and what SMBIOS says of it', async (t) => {
  const sysfs = testSysfs(t)
  const dmi = {
    sys_vendor: 'Dell Inc.\n',
    product_name: 'PowerEdge R650\n',
    product_serial: 'ABC\x1b[1m123\n',
  }
  const folder = sysfs.device('virtual/dmi/id', dmi)
  for (const name of Object.keys(dmi)) sysfs.link(`${sysfs.path}/class/dmi/id/${name}`, `${folder}/${name}`)
  const on = sysfs.device('efi', { variable: Buffer.from([6, 0, 0, 0, 1]) })
  sysfs.link(`${sysfs.path}/${secureBoot}`, `${on}/variable`)
  assert.deepEqual(await readMachine(sysfs.path), {
    vendor: 'Dell Inc.',
    model: 'PowerEdge R650',
    serial: 'ABC [1m123',
    firmware: 'uefi',
    secureBoot: true,
    memory: totalmem(),
    cpus: cpus().length,
    nics: [],
  })
})

const variables: { title: string; content: Buffer | null }[] = [
  { title: 'is 0', content: Buffer.from([6, 0, 0, 0, 0]) },
  { title: 'is cut short', content: Buffer.from([6, 0, 0, 0]) },
  { title: 'is not there', content: null },
]

for (const { title, content } of variables) {
  test(`Secure Boot is off where the variable ${title}`, async (t) => {
    const sysfs = testSysfs(t)
    const efi = sysfs.device('efi', content === null ? { other: '' } : { variable: content })
    if (content === null) sysfs.link(`${sysfs.path}/firmware/efi/efivars/Other`, `${efi}/other`)
    else sysfs.link(`${sysfs.path}/${secureBoot}`, `${efi}/variable`)
    const { firmware, secureBoot: isOn } = await readMachine(sysfs.path)
    assert.deepEqual({ firmware, isOn }, { firmware: 'uefi', isOn: false })
  })
}

test('a server without EFI in its sysfs was started by legacy firmware; SMBIOS may say nothing', async (t) => {
  const { vendor, model, serial, firmware, secureBoot: isOn } = await readMachine(testSysfs(t).path)
  assert.deepEqual([vendor, model, serial, firmware, isOn], ['', '', '', 'legacy', false])
})
