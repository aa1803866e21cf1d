import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiskFacts } from '@byoi/contract'
import { findServerDisks } from './server-disks.ts'
import { type TestSysfs, diskAttributes, serialPage, testSysfs } from './sysfs.fixture.ts'

const GB = 1e9
const pci = 'pci0000:00/0000:00:04.0'

interface Disk {
  name: string
  /** Folder of the device that the disk is of, below `devices`. */
  device: string
  attributes: Record<string, string | Buffer>
  deviceAttributes?: Record<string, string | Buffer>
}

function add(sysfs: TestSysfs, { name, device, attributes, deviceAttributes = {} }: Disk): void {
  const folder = sysfs.device(`${device}/block/${name}`, attributes)
  sysfs.link(`${folder}/device`, sysfs.device(device, deviceAttributes))
  sysfs.inClass('block', folder)
}

const scsi = (serial: string, wwid: string): Record<string, string | Buffer> => ({
  vpd_pg80: serialPage(serial),
  wwid: `${wwid}\n`,
})

/** One row a bus, as sysfs looks under QEMU and on real servers. */
const buses: { title: string; disk: Disk; facts: DiskFacts }[] = [
  {
    title: 'virtio, whose rotational says nothing',
    disk: {
      name: 'vda',
      device: `${pci}/virtio1`,
      attributes: diskAttributes(10 * GB, 512, { serial: 'E2EDISK0\n', 'queue/rotational': '1\n' }),
    },
    facts: {
      path: '/dev/vda',
      serial: 'E2EDISK0',
      wwn: null,
      size: 10 * GB,
      sectorSize: 512,
      rotational: null,
      transport: 'virtio',
    },
  },
  {
    title: 'virtio with 4 KiB sectors, whose size still counts 512 bytes',
    disk: {
      name: 'vdb',
      device: `${pci}/virtio2`,
      attributes: diskAttributes(40_960, 4096, { serial: 'S4K' }),
    },
    facts: {
      path: '/dev/vdb',
      serial: 'S4K',
      wwn: null,
      size: 40_960,
      sectorSize: 4096,
      rotational: null,
      transport: 'virtio',
    },
  },
  {
    title: 'NVMe',
    disk: {
      name: 'nvme0n1',
      device: `${pci}/nvme/nvme0`,
      attributes: diskAttributes(480 * GB, 512, { wwid: 'eui.0025388b91b0c1d2\n' }),
      deviceAttributes: { serial: 'S4EVNX0R123456      \n', model: 'SAMSUNG MZQLB' },
    },
    facts: {
      path: '/dev/nvme0n1',
      serial: 'S4EVNX0R123456',
      wwn: 'eui.0025388b91b0c1d2',
      size: 480 * GB,
      sectorSize: 512,
      rotational: false,
      transport: 'nvme',
    },
  },
  {
    title: 'SATA on AHCI, its serial number right-aligned in blanks',
    disk: {
      name: 'sda',
      device: `pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0`,
      attributes: diskAttributes(4000 * GB, 512, { 'queue/rotational': '1\n' }),
      deviceAttributes: scsi('            WD-ABC123', 'naa.5000c500a1b2c3d4'),
    },
    facts: {
      path: '/dev/sda',
      serial: 'WD-ABC123',
      wwn: 'naa.5000c500a1b2c3d4',
      size: 4000 * GB,
      sectorSize: 512,
      rotational: true,
      transport: 'sata',
    },
  },
  {
    title: 'SAS behind an expander',
    disk: {
      name: 'sdab',
      device: `${pci}/host1/port-1:0/expander-1:0/port-1:0:3/end_device-1:0:3/target1:0:3/1:0:3:0`,
      attributes: diskAttributes(1800 * GB, 512, { 'queue/rotational': '1\n' }),
      deviceAttributes: scsi('KPG0A1B2', 'naa.5000cca0b1c2d3e4'),
    },
    facts: {
      path: '/dev/sdab',
      serial: 'KPG0A1B2',
      wwn: 'naa.5000cca0b1c2d3e4',
      size: 1800 * GB,
      sectorSize: 512,
      rotational: true,
      transport: 'sas',
    },
  },
  {
    title: 'SCSI on virtio',
    disk: {
      name: 'sdb',
      device: `${pci}/virtio3/host2/target2:0:0/2:0:0:0`,
      attributes: diskAttributes(20 * GB),
      deviceAttributes: scsi('S1', 't10.QEMU    S1'),
    },
    facts: {
      path: '/dev/sdb',
      serial: 'S1',
      wwn: 't10.QEMU S1',
      size: 20 * GB,
      sectorSize: 512,
      rotational: false,
      transport: 'scsi',
    },
  },
  {
    title: 'a fixed disk on USB without any name',
    disk: {
      name: 'sdc',
      device: `pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host3/target3:0:0/3:0:0:0`,
      attributes: diskAttributes(500 * GB),
    },
    facts: {
      path: '/dev/sdc',
      serial: '',
      wwn: null,
      size: 500 * GB,
      sectorSize: 512,
      rotational: false,
      transport: 'usb',
    },
  },
]

for (const { title, disk, facts } of buses) {
  test(`a disk is found: ${title}`, async (t) => {
    const sysfs = testSysfs(t)
    add(sysfs, disk)
    assert.deepEqual((await findServerDisks(sysfs.path)).disks, [facts])
  })
}

const leftOut: { title: string; disk: Disk; finding?: RegExp }[] = [
  ...[
    'loop0',
    'ram0',
    'zram0',
    'dm-0',
    'md127',
    'sr0',
    'fd0',
    'nbd0',
    'sda1',
    'nvme0n1p1',
    'mmcblk0boot0',
  ].map((name) => ({
    title: name,
    disk: { name, device: `virtual/${name}`, attributes: diskAttributes(GB) },
  })),
  {
    title: 'a stick that somebody put in',
    disk: {
      name: 'sdz',
      device: 'pci0000:00/usb1/1-1/host9/target9:0:0/9:0:0:0',
      attributes: diskAttributes(GB, 512, { removable: '1\n' }),
    },
  },
  {
    title: 'a read-only disk on USB, as a BMC shows its virtual medium',
    disk: {
      name: 'sdz',
      device: 'pci0000:00/usb1/1-1/host9/target9:0:0/9:0:0:0',
      attributes: diskAttributes(GB, 512, { ro: '1\n' }),
    },
  },
  {
    title: 'a card reader without a card',
    disk: { name: 'sdy', device: 'pci0000:00/host9/target9:0:0/9:0:0:0', attributes: diskAttributes(0) },
  },
  {
    title: 'one path of an NVMe namespace with several, which has no device node',
    disk: {
      name: 'nvme0n1',
      device: 'pci0000:00/nvme/nvme0',
      attributes: diskAttributes(GB, 512, { hidden: '1\n' }),
    },
  },
  {
    title: 'a disk with sectors of 520 bytes',
    disk: {
      name: 'sdx',
      device: 'pci0000:00/host9/target9:0:0/9:0:0:0',
      attributes: diskAttributes(GB, 520),
      deviceAttributes: scsi('NETAPP1', 'naa.5000'),
    },
    finding: /^The disk \/dev\/sdx \(serial NETAPP1, WWN naa\.5000\) has sectors of 520 bytes/,
  },
]

for (const { title, disk, finding } of leftOut) {
  test(`left out: ${title}`, async (t) => {
    const sysfs = testSysfs(t)
    add(sysfs, disk)
    const found = await findServerDisks(sysfs.path)
    assert.deepEqual(found.disks, [])
    assert.equal(found.findings.length, finding === undefined ? 0 : 1)
    if (finding !== undefined) assert.match(found.findings[0] ?? '', finding)
  })
}

test('the head of an NVMe namespace with several paths is the disk', async (t) => {
  const sysfs = testSysfs(t)
  add(sysfs, {
    name: 'nvme0n1',
    device: 'virtual/nvme-subsystem/nvme-subsys0',
    attributes: diskAttributes(GB, 512, { wwid: 'uuid.1' }),
    deviceAttributes: { serial: 'PM1733' },
  })
  add(sysfs, {
    name: 'nvme0c0n1',
    device: 'pci0000:00/nvme/nvme0',
    attributes: diskAttributes(GB, 512, { hidden: '1\n' }),
  })
  const { disks } = await findServerDisks(sysfs.path)
  assert.deepEqual(
    disks.map(({ path, serial, wwn }) => ({ path, serial, wwn })),
    [{ path: '/dev/nvme0n1', serial: 'PM1733', wwn: 'uuid.1' }],
  )
})

test('a read-only disk stays in the list, and is told', async (t) => {
  const sysfs = testSysfs(t)
  add(sysfs, {
    name: 'sda',
    device: 'pci0000:00/ata1/host0/target0:0:0/0:0:0:0',
    attributes: diskAttributes(GB, 512, { ro: '1\n' }),
    deviceAttributes: scsi('WORN-OUT', 'naa.5001'),
  })
  const { disks, findings } = await findServerDisks(sysfs.path)
  assert.equal(disks[0]?.serial, 'WORN-OUT')
  assert.deepEqual(findings, [
    'The disk /dev/sda (serial WORN-OUT, WWN naa.5001) is read-only: nothing can be deployed to it.',
  ])
})

test('two disks that answer to one name are told', async (t) => {
  const sysfs = testSysfs(t)
  for (const [name, path] of [
    ['sda', '0'],
    ['sdb', '1'],
  ] as const) {
    add(sysfs, {
      name,
      device: `pci0000:00/host0/port-0:${path}/end_device-0:${path}/target0:0:${path}/0:0:${path}:0`,
      attributes: diskAttributes(GB),
      deviceAttributes: scsi('DUAL', 'naa.5002'),
    })
  }
  const { findings } = await findServerDisks(sysfs.path)
  assert.deepEqual(findings, [
    '/dev/sda and /dev/sdb answer to the same name (serial DUAL, WWN naa.5002): nothing can be deployed to them.',
  ])
})

const hostile: { title: string; serial: string | Buffer; expected: string }[] = [
  { title: 'a serial number of 1 MiB', serial: 'A'.repeat(2 ** 20), expected: 'A'.repeat(256) },
  {
    title: 'control characters and terminal escapes',
    serial: '\x1b[2J\x1b[31mS1\r\n\0\x07\x9bS2',
    expected: '[2J [31mS1 S2',
  },
  { title: 'bytes that are no text', serial: Buffer.from([0xff, 0xfe, 0x53, 0x31, 0x80]), expected: 'S1' },
  { title: 'an empty file', serial: '', expected: '' },
  { title: 'blanks only', serial: ' \t \n', expected: '' },
]

for (const { title, serial, expected } of hostile) {
  test(`a serial number is made plain: ${title}`, async (t) => {
    const sysfs = testSysfs(t)
    add(sysfs, {
      name: 'vda',
      device: `${pci}/virtio1`,
      attributes: { ...diskAttributes(GB), serial },
    })
    assert.equal((await findServerDisks(sysfs.path)).disks[0]?.serial, expected)
  })
}

const hostilePages: { title: string; page: Buffer; expected: string }[] = [
  { title: 'a length beyond its end', page: Buffer.from([0, 0x80, 0xff, 0xff, 0x53, 0x31]), expected: 'S1' },
  { title: 'a length of 0', page: Buffer.from([0, 0x80, 0, 0, 0x53, 0x31]), expected: '' },
  { title: 'another page', page: Buffer.from([0, 0x83, 0, 2, 0x53, 0x31]), expected: '' },
  { title: 'three bytes', page: Buffer.from([0, 0x80, 0]), expected: '' },
]

for (const { title, page, expected } of hostilePages) {
  test(`a page of vital product data with ${title} gives "${expected}"`, async (t) => {
    const sysfs = testSysfs(t)
    add(sysfs, {
      name: 'sda',
      device: 'pci0000:00/ata1/host0/target0:0:0/0:0:0:0',
      attributes: diskAttributes(GB),
      deviceAttributes: { vpd_pg80: page },
    })
    assert.equal((await findServerDisks(sysfs.path)).disks[0]?.serial, expected)
  })
}

test('a disk of which all files are missing is not there', async (t) => {
  const sysfs = testSysfs(t)
  add(sysfs, { name: 'vda', device: `${pci}/virtio1`, attributes: {} })
  assert.deepEqual(await findServerDisks(sysfs.path), { disks: [], findings: [] })
})

test('sizes that are no numbers make no disk', async (t) => {
  for (const size of ['', '-1', '0x10', '1e9', '99999999999999999999', 'Infinity']) {
    const sysfs = testSysfs(t)
    add(sysfs, { name: 'vda', device: `${pci}/virtio1`, attributes: { ...diskAttributes(GB), size } })
    assert.deepEqual((await findServerDisks(sysfs.path)).disks, [], size)
  }
})
