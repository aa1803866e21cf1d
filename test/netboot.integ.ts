/**
 * Servers in QEMU that boot from the network as `byoi netboot config` says: real dnsmasq, firmware, iPXE and GRUB. Run by
 * `npm run test:netboot`, which gives it a network namespace of its own and says in BYOI_RAMDISK where the ramdisk is.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { type RedfishService, startRedfishService } from '@byoi/bmc'
import { type ServerAnswer } from '@byoi/contract'
import { ControlPlane } from '../scripts/control-plane.ts'
import { command } from '../scripts/run-command.ts'
import { waitFor } from './support/lab.ts'
import { type QemuFirmware, QemuMachine } from './support/qemu-machine.ts'

const ramdisk = process.env['BYOI_RAMDISK'] ?? ''
const skip =
  ramdisk === ''
    ? 'run by npm run test:netboot'
    : Object.keys(networkInterfaces()).some((name) => name !== 'lo')
      ? 'this is not a network namespace of its own'
      : false
const password = 'netboot-test'
const bootMs = 240_000
/** A bridge of which no port has a link yet tells no address. */
const where = ['--interface', 'br0', '--subnet', '10.77.0.0/24']

describe('a server in QEMU', { skip }, () => {
  let folder: string
  let control: ControlPlane
  let dnsmasq: ChildProcess | null = null
  let tls: { key: string; cert: string }
  const machines: QemuMachine[] = []
  const services: RedfishService[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'byoi-netboot-'))
    // The database's user must be able to pass.
    await chmod(folder, 0o711)
    await layNetwork()
    tls = await certificate(folder)
    control = new ControlPlane({
      data: join(folder, 'data'),
      args: ['--provisioning', '10.77.0.1:8081', '--ramdisk', ramdisk],
    })
    control.url = 'https://10.77.0.1:8443'
    await control.start()
  })
  after(async () => {
    dnsmasq?.kill('SIGKILL')
    for (const machine of machines) await machine.act('off')
    for (const service of services) await service.close()
    await control.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** Adds a server, and starts dnsmasq anew with what it needs for it. */
  async function addServer(name: string, firmware: QemuFirmware, way: string): Promise<QemuMachine> {
    const number = machines.length + 1
    const own = join(folder, name)
    await mkdir(own)
    const mac = `52:54:00:77:00:0${number}`
    const machine = new QemuMachine({ firmware, mac, tap: await tap(number), folder: own })
    machines.push(machine)
    const service = await startRedfishService({
      machine,
      user: 'admin',
      password,
      tls,
      host: '127.0.0.1',
      port: 0,
    })
    services.push(service)
    const passwordFile = join(folder, 'password')
    await writeFile(passwordFile, `${password}\n`)
    const boot = firmware === 'bios' ? 'legacy' : 'uefi'
    const bmc = ['--bmc', 'redfish', '--bmc-address', service.url, '--bmc-user', 'admin']
    const agent = ['--boot', boot, '--agent-boot', way, '--mac', mac]
    await control.operator('server', 'add', name, ...bmc, '--bmc-password-file', passwordFile, ...agent)
    await restartDnsmasq()
    return machine
  }

  async function restartDnsmasq(): Promise<void> {
    dnsmasq?.kill('SIGKILL')
    const path = join(folder, 'dnsmasq.conf')
    await writeFile(path, await control.operator('netboot', 'config', ...where))
    const log = join(folder, 'dnsmasq.log')
    const more = [
      '--keep-in-foreground',
      '--user=root',
      `--dhcp-leasefile=${join(folder, 'leases')}`,
      '--log-dhcp',
    ]
    const child = spawn('dnsmasq', [`--conf-file=${path}`, `--log-facility=${log}`, ...more], {
      stdio: 'inherit',
    })
    dnsmasq = child
    await waitFor('dnsmasq', async () =>
      (await readFile(log, 'utf8').catch(() => '')).includes(`dnsmasq[${child.pid}]: started`)
        ? true
        : undefined,
    )
  }

  /** Everything that could say why. */
  const told = async (machine: QemuMachine) =>
    [
      machine.serial.slice(-3000),
      (await readFile(join(folder, 'dnsmasq.log'), 'utf8')).slice(-3000),
      control.output.slice(-3000),
    ].join('\n\n')

  const joins: [string, QemuFirmware, string][] = [
    ['BIOS, with iPXE in its network card', 'bios', 'netboot'],
    ['UEFI, with iPXE in its network card', 'uefi', 'netboot'],
    ['UEFI, its own PXE and iPXE from TFTP', 'uefi-pxe', 'netboot'],
    ['UEFI under Secure Boot, fetching the CD itself', 'uefi-http', 'uefi-http'],
  ]
  for (const [what, firmware, way] of joins) {
    test(`boots the agent, which joins and tells what it finds: ${what}`, { timeout: bootMs }, async () => {
      const name = `${firmware}.example.test`
      const machine = await addServer(name, firmware, way)
      const began = performance.now()
      const late = sleep(bootMs - 30_000, undefined, { ref: false }).then(() =>
        Promise.reject(new Error('too late')),
      )
      const inspected = control.operator('server', 'inspect', name, '--wait', '--json')
      const view = await Promise.race([inspected, late]).catch(async (error: unknown) =>
        assert.fail(`${String(error)}\n${await told(machine)}`),
      )
      const { state, notes } = JSON.parse(view) as { state: string; notes: string[] }
      assert.equal(state, 'done')
      assert.ok(!notes.some((note) => note.startsWith('Alarm')), notes.join('\n'))
      const { found } = JSON.parse(await control.operator('server', 'show', name, '--json')) as ServerAnswer
      assert.equal(found?.machine?.firmware, firmware === 'bios' ? 'legacy' : 'uefi')
      assert.equal(found.machine.secureBoot, firmware === 'uefi-http')
      assert.deepEqual(
        found.disks.map(({ serial }) => serial),
        ['NETBOOT0'],
      )
      assert.equal(await machine.power(), 'off')
      console.log(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s from the order to its end`)
    })
  }

  const goesOn: [string, QemuFirmware, RegExp][] = [
    ['BIOS', 'bios', /on this server now\r\nCould not boot[\s\S]*DISK BOOTED/],
    [
      'UEFI',
      'uefi',
      /on this server now\r\nCould not boot[\s\S]*BdsDxe: failed to load Boot[0-9]+ "UEFI PXEv4/,
    ],
  ]
  for (const [what, firmware, said] of goesOn) {
    test(`goes on to its next boot device when no agent is to be started: ${what}`, {
      timeout: bootMs,
    }, async () => {
      const machine = await addServer(`idle-${firmware}.example.test`, firmware, 'netboot')
      await machine.act('on')
      const found = waitFor(what, async () => (said.test(machine.serial) ? true : undefined), 120_000)
      await found.catch(async (error: unknown) => assert.fail(`${String(error)}\n${await told(machine)}`))
      assert.ok(!machine.serial.includes('did not answer'))
      await machine.act('off')
    })
  }
})

async function layNetwork(): Promise<void> {
  await ip('link', 'set', 'lo', 'up')
  await ip('link', 'add', 'br0', 'type', 'bridge')
  await ip('address', 'add', '10.77.0.1/24', 'dev', 'br0')
  await ip('address', 'add', 'fd77::1/64', 'dev', 'br0', 'nodad')
  await ip('link', 'set', 'br0', 'up')
}

async function tap(number: number): Promise<string> {
  const name = `tap${number}`
  await ip('tuntap', 'add', 'dev', name, 'mode', 'tap')
  await ip('link', 'set', name, 'master', 'br0', 'up')
  return name
}

const ip = async (...args: string[]) => await command('ip', args)

async function certificate(folder: string): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(folder, 'bmc.key'), join(folder, 'bmc.pem')]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=bmc']
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]
  await command('openssl', [...request, ...names])
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
}
