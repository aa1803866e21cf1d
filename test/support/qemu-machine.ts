/** A server in QEMU behind a simulated BMC, for tests in a network namespace of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BootSetting, type Machine, type MachineAction, type PowerState } from '@byoi/bmc'

/**
 * `bios`, `uefi`: iPXE is the network card's own ROM. `uefi-pxe`: the firmware's PXE, without any ROM. `uefi-http`: the firmware's HTTP
 * boot, with Secure Boot on.
 */
export type QemuFirmware = 'bios' | 'uefi' | 'uefi-pxe' | 'uefi-http'

export interface QemuOptions {
  firmware: QemuFirmware
  mac: string
  /** Name of a tap device. */
  tap: string
  /** For its disk, its firmware's variables and its serial log. */
  folder: string
}

const ovmf = '/usr/share/OVMF'

export class QemuMachine implements Machine {
  readonly identity
  readonly #options: QemuOptions
  readonly #serial: string
  #qemu: ChildProcess | null = null
  #boot: BootSetting = { device: null, once: false, firmware: 'uefi', httpUri: null }

  constructor(options: QemuOptions) {
    const { mac, folder, firmware } = options
    this.#options = options
    this.#serial = join(folder, 'serial.log')
    this.identity = {
      uuid: `00000000-0000-4000-8000-${mac.replaceAll(':', '')}`,
      manufacturer: 'QEMU',
      model: firmware,
      serial: mac,
    }
    writeFileSync(join(folder, 'disk.img'), diskThatSpeaks)
    truncateSync(join(folder, 'disk.img'), 64 * 1024 * 1024)
    const vars = firmware === 'uefi-http' ? 'OVMF_VARS_4M.ms.fd' : 'OVMF_VARS_4M.fd'
    if (firmware !== 'bios') copyFileSync(join(ovmf, vars), join(folder, 'vars.fd'))
  }

  /** What came over the serial line, without escape codes. */
  get serial(): string {
    if (!existsSync(this.#serial)) return ''
    // oxlint-disable-next-line no-control-regex
    return readFileSync(this.#serial, 'latin1').replaceAll(/\x1b\[[0-9;=?]*[A-Za-z]/g, '')
  }

  async power(): Promise<PowerState> {
    return this.#qemu === null ? 'off' : 'on'
  }

  async act(action: MachineAction): Promise<void> {
    if (action !== 'on' || this.#qemu === null) await this.#stop()
    if (action !== 'off' && action !== 'soft-off' && this.#qemu === null) this.#start()
  }

  boot(): BootSetting {
    return this.#boot
  }

  async setBoot(setting: BootSetting): Promise<void> {
    this.#boot = setting
  }

  medium(): null {
    return null
  }

  async insert(): Promise<void> {
    throw new Error('There is no virtual CD.')
  }

  async eject(): Promise<void> {}

  async #stop(): Promise<void> {
    const qemu = this.#qemu
    if (qemu === null) return
    const ended = once(qemu, 'exit')
    qemu.kill('SIGKILL')
    await ended
  }

  #start(): void {
    const qemu = spawn('qemu-system-x86_64', this.#arguments(), { stdio: ['ignore', 'ignore', 'inherit'] })
    this.#qemu = qemu
    qemu.once('exit', () => {
      this.#qemu = null
    })
  }

  #arguments(): string[] {
    const { firmware, mac, tap, folder } = this.#options
    const secure = firmware === 'uefi-http'
    const rom = firmware === 'uefi-pxe' || secure ? ',romfile=' : ''
    const options = [
      ['machine', secure ? 'q35,smm=on,graphics=off' : 'q35,graphics=off'],
      ['accel', 'tcg'],
      ['cpu', 'Nehalem'],
      ['m', '1536'],
      ['display', 'none'],
      ['serial', `file:${this.#serial}`],
      ...firmwareOptions(firmware, folder),
      ['netdev', `tap,id=n0,ifname=${tap},script=no,downscript=no`],
      ['device', `virtio-net-pci,netdev=n0,mac=${mac},bootindex=1${rom}`],
      ['drive', `file=${join(folder, 'disk.img')},if=none,id=d0,format=raw`],
      ['device', 'virtio-blk-pci,drive=d0,serial=NETBOOT0,bootindex=2'],
    ]
    return ['-no-reboot', ...options.flatMap(([name, value]) => [`-${name}`, value ?? ''])]
  }
}

function firmwareOptions(firmware: QemuFirmware, folder: string): string[][] {
  if (firmware === 'bios') return []
  const secure = firmware === 'uefi-http'
  const code = join(ovmf, secure ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd')
  const flash = [
    ['drive', `if=pflash,format=raw,unit=0,readonly=on,file=${code}`],
    ['drive', `if=pflash,format=raw,unit=1,file=${join(folder, 'vars.fd')}`],
  ]
  if (!secure) return flash
  return [
    ...flash,
    ['global', 'driver=cfi.pflash01,property=secure,value=on'],
    ['fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=n'],
    ['fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
  ]
}

/** A boot sector that writes a line to the first serial port and stops: xor ax,ax; mov ds,ax; mov dx,3f8; then each byte by `out`. */
const diskThatSpeaks = bootSector('DISK BOOTED\r\n')

function bootSector(text: string): Buffer {
  const code = Buffer.from(
    [
      '31c08ed8', // xor ax, ax; mov ds, ax
      'be127c', // mov si, 0x7c12
      'baf803', // mov dx, 0x3f8
      'ac84c07403eeebf8', // lodsb; test al, al; jz +3; out dx, al; jmp -8
    ].join(''),
    'hex',
  )
  const sector = Buffer.alloc(512)
  code.copy(sector)
  sector.write(`${text}\0`, 0x12)
  const end = 0x12 + text.length + 1
  sector.set([0xeb, 0xfe], end) // jmp $
  sector[0x0e] = end - 0x0f // jz to the end
  sector.set([0x55, 0xaa], 510)
  return sector
}
