import { type BootSetting } from '@byoi/bmc'
import { type DiskPlan, type ServerPlan } from '../server-plan.ts'
import { type UefiImage } from './firmware.ts'

/** One start of a server. */
export interface StartPlan {
  server: ServerPlan
  uefi: UefiImage | null
  device: Exclude<BootSetting['device'], 'uefi-http'>
  /** URL of the virtual CD. */
  medium: string | null
  /** Unix socket that the supervisor listens on: QEMU calls. */
  monitor: string
  /** TCP port on loopback that the supervisor listens on: QEMU calls. */
  serialPort: number
}

/** Devices in the order in which the firmware tries them. The firmware's own order begins with the disk. */
type Bootable = 'disk' | 'network' | 'cd'
const orders: Record<Bootable | 'own', readonly Bootable[]> = {
  own: ['disk', 'network'],
  disk: ['disk'],
  network: ['network', 'disk'],
  cd: ['cd', 'disk'],
}

/**
 * The arguments of qemu-system-x86_64 (QEMU 7.2, qemu(1)). A boot device is an order of `bootindex`, which both firmwares follow;
 * it holds for this start only, because with `-no-reboot` a reboot ends QEMU and is a new start.
 */
export function qemuArguments(start: StartPlan): string[] {
  const { server } = start
  const order = orders[start.device ?? 'own']
  return [
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ['-name', server.name, '-uuid', server.uuid],
    ['-smbios', `type=1,manufacturer=byoi,product=lab,serial=${server.name}`],
    processor(server, start.uefi !== null),
    firmwareArguments(server, start.uefi),
    ['-object', 'rng-random,id=random,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=random'],
    ...server.disks.map((disk, index) =>
      diskArguments(server, disk, index, index === 0 ? bootIndex(order, 'disk') : {}),
    ),
    cdArguments(server, start.medium, bootIndex(order, 'cd')),
    networkArguments(server, bootIndex(order, 'network')),
    // TCP: a Unix socket has room for some hundred writes, and QEMU writes, and drops, byte by byte.
    ['-chardev', `socket,id=serial,host=127.0.0.1,port=${start.serialPort}`],
    ['-device', 'isa-serial,chardev=serial'],
    [
      '-chardev',
      `socket,id=monitor,path=${commaSafe(start.monitor)}`,
      '-mon',
      'chardev=monitor,mode=control',
    ],
  ].flat()
}

type Properties = Record<string, string | number | boolean>

const bootIndex = (order: readonly Bootable[], device: Bootable): { bootindex?: number } =>
  order.includes(device) ? { bootindex: order.indexOf(device) } : {}

/** JSON, so that no character of a path or URL has a meaning of its own. */
const json = (option: '-blockdev' | '-device', properties: Properties): string[] => [
  option,
  JSON.stringify(properties),
]

function processor(server: ServerPlan, uefi: boolean): string[] {
  // Without graphics SeaBIOS and iPXE speak on the serial line. Secure Boot keeps its variables behind SMM.
  const machine = ['q35', 'graphics=off', uefi && server.secureBoot ? 'smm=on' : 'smm=off']
  return [
    ['-machine', machine.join(',')],
    ['-accel', server.kvm ? 'kvm' : 'tcg', '-cpu', server.kvm ? 'host' : 'Nehalem'],
    ['-m', String(server.memoryMiB), '-smp', String(server.processors)],
  ].flat()
}

function firmwareArguments(server: ServerPlan, uefi: UefiImage | null): string[] {
  if (uefi === null) return []
  const flash = (unit: number, file: string, readonly: string) =>
    `if=pflash,format=raw,unit=${unit},readonly=${readonly},file=${commaSafe(file)}`
  return [
    server.secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : [],
    ['-drive', flash(0, uefi.code, 'on'), '-drive', flash(1, uefi.variables, 'off')],
  ].flat()
}

function diskArguments(server: ServerPlan, disk: DiskPlan, index: number, boot: Properties): string[] {
  const node = `disk${index}`
  const { sectorSize } = server
  const sectors = { logical_block_size: sectorSize, physical_block_size: sectorSize }
  const block = JSON.stringify({
    driver: 'raw',
    'node-name': node,
    discard: 'unmap',
    'detect-zeroes': 'unmap',
    file: { driver: 'file', filename: disk.path, discard: 'unmap' },
  })
  const device = (properties: Properties) => json('-device', { ...properties, ...boot })
  const byBus = {
    virtio: () => device({ driver: 'virtio-blk-pci', drive: node, serial: disk.serial, ...sectors }),
    nvme: () => [
      ...json('-device', { driver: 'nvme', id: `nvme${index}`, serial: disk.serial }),
      ...device({ driver: 'nvme-ns', bus: `nvme${index}`, nsid: 1, drive: node, ...sectors }),
    ],
    // The AHCI controller of q35 has six ports; the CD takes the last one.
    sata: () => device({ driver: 'ide-hd', drive: node, bus: `ide.${index}`, serial: disk.serial }),
  }
  return ['-blockdev', block, ...byBus[server.bus]()]
}

/** The medium is read over HTTP while the server uses it, as a BMC does, whose certificate check is often none too. */
function cdArguments(server: ServerPlan, medium: string | null, boot: Properties): string[] {
  if (medium === null) return []
  const tls = medium.startsWith('https:')
  const block = JSON.stringify({
    driver: 'raw',
    'node-name': 'cd',
    'read-only': true,
    file: { driver: tls ? 'https' : 'http', url: medium, ...(tls ? { sslverify: false } : {}) },
  })
  const drive =
    server.cd === 'ide'
      ? json('-device', { driver: 'ide-cd', drive: 'cd', bus: 'ide.5', ...boot })
      : [
          ...json('-device', { driver: 'qemu-xhci', id: 'usb' }),
          ...json('-device', { driver: 'usb-bot', id: 'reader', bus: 'usb.0' }),
          ...json('-device', { driver: 'scsi-cd', drive: 'cd', bus: 'reader.0', ...boot }),
        ]
  return ['-blockdev', block, ...drive]
}

/**
 * A network of the server's own: the host's loopback is 10.0.2.2 in it, and the ROM of QEMU's card is iPXE, which takes its script
 * from the DHCP answer. Without the ROM there is no start from the network, and no time lost on it.
 */
function networkArguments(server: ServerPlan, boot: Properties): string[] {
  const { mac, netbootUrl, ports } = server
  const forward = `hostfwd=tcp:127.0.0.1:${ports.ssh}-:22`
  const card = { driver: 'virtio-net-pci', netdev: 'net', mac, ...boot }
  return [
    ['-netdev', `user,id=net,${forward},bootfile=${commaSafe(netbootUrl)}`],
    json('-device', boot['bootindex'] === undefined ? { ...card, romfile: '' } : card),
  ].flat()
}

/** A comma within a value of QEMU's `name=value,...` is written twice. */
const commaSafe = (value: string): string => value.replaceAll(',', ',,')
