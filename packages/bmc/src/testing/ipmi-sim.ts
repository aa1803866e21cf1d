import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What ipmi_sim asks of its chassis. A test may lie here: say yes and do nothing, show old values, fail. */
export interface Chassis {
  /** `power` is 0 or 1, `boot` none, pxe, default (the disk), cdrom or bios. Throwing makes the BMC answer 0xff. */
  get(name: string): string
  set(name: string, value: string): void
}

/** A chassis that does as it is told, and remembers it. */
export class HonestChassis implements Chassis {
  readonly values: Record<string, string> = { power: '0', boot: 'none' }
  /** What was set, in order, as `name value`. */
  readonly log: string[] = []

  get(name: string): string {
    return this.values[name] ?? '0'
  }

  set(name: string, value: string): void {
    this.log.push(`${name} ${value}`)
    this.values[name] = value
  }
}

export interface IpmiSim {
  /** UDP, on 127.0.0.1. */
  port: number
  chassis: Chassis
  /** The server's serial port: what ipmi_sim's serial over LAN writes to and reads from. */
  serial: Serial
  user: string
  password: string
  /** Ends ipmi_sim as a BMC that restarts; `start` brings it back on the same port. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** The far end of the serial line. Writes go to whoever is connected. */
export class Serial {
  /** What the server does with bytes from the console; at first it echoes them. */
  onData: (bytes: Buffer, serial: Serial) => void = (bytes, serial) => serial.write(bytes)
  readonly #server: Server
  #socket: Socket | null = null

  constructor() {
    this.#server = createServer((socket) => {
      this.#socket = socket
      socket.on('data', (bytes: Buffer) => this.onData(bytes, this)).on('error', () => undefined)
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async connected(): Promise<void> {
    if (this.#socket === null || this.#socket.destroyed) await once(this.#server, 'connection')
  }

  write(bytes: Uint8Array): void {
    this.#socket?.write(bytes)
  }

  async close(): Promise<void> {
    this.#socket?.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

const user = 'admin'
const password = 'correct-horse-1'

/** Starts a BMC in a temporary directory, on free ports of loopback. It has cipher suite 3, not 17, and takes suite 0. */
export async function startIpmiSim(chassis: Chassis = new HonestChassis()): Promise<IpmiSim> {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-ipmi-sim-'))
  const port = await freePort()
  const serial = new Serial()
  await serial.listen()
  const control = await controlServer(join(directory, 'chassis.sock'), () => sim.chassis)
  await writeFiles(directory, port, serial.port)
  const run = async () => {
    const args = ['-n', '-c', 'lan.conf', '-f', 'bmc.emu', '-s', 'state']
    const child = spawn('ipmi_sim', args, { cwd: directory, stdio: 'ignore' })
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('ipmi_sim ended')))
    ended.catch(() => undefined)
    await Promise.race([Promise.all([answers(port, child), serial.connected()]), ended])
    return child
  }
  let process = await run()
  const sim: IpmiSim = {
    port,
    chassis,
    serial,
    user,
    password,
    async kill() {
      process.kill('SIGKILL')
      if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
    },
    async start() {
      process = await run()
    },
    async stop() {
      await sim.kill()
      await serial.close()
      control.close()
      await rm(directory, { recursive: true })
    },
  }
  return sim
}

async function writeFiles(directory: string, port: number, serialPort: number): Promise<void> {
  const script = join(directory, 'chassis')
  const socket = join(directory, 'chassis.sock')
  await mkdir(join(directory, 'state'))
  await writeFile(
    script,
    `#!/bin/sh\nexec curl --silent --fail --unix-socket ${socket} --data-binary "$*" http://chassis/\n`,
  )
  await chmod(script, 0o700)
  await writeFile(join(directory, 'lan.conf'), lanConf(script, port, serialPort))
  await writeFile(join(directory, 'bmc.emu'), emulation)
}

const lanConf = (script: string, port: number, serialPort: number) => `name "byoi"
set_working_mc 0x20
startlan 1
addr 127.0.0.1 ${port}
priv_limit admin
allowed_auths_callback md5
allowed_auths_user md5
allowed_auths_operator md5
allowed_auths_admin md5
guid b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1
endlan
chassis_control "${script}"
sol "tcp:127.0.0.1:${serialPort}" 115200
user 2 true "${user}" "${password}" admin 10 md5
`

const emulation = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

/** The chassis program posts its arguments: `get NAME ...` or `set NAME VALUE ...`. */
async function controlServer(path: string, chassis: () => Chassis) {
  const server = createHttpServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    request.once('end', () => {
      try {
        response.end(ask(chassis(), text.trim().split(' ')))
      } catch {
        response.writeHead(500).end()
      }
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return server
}

function ask(chassis: Chassis, [verb, ...words]: string[]): string {
  if (verb === 'get') return words.map((name) => `${name}:${chassis.get(name)}\n`).join('')
  for (let i = 0; i + 1 < words.length; i += 2) chassis.set(words[i] ?? '', words[i + 1] ?? '')
  return ''
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

/** RMCP presence ping (IPMI 2.0, section 13.2.3) until it is answered, or the process has ended. */
async function answers(port: number, child: ChildProcess): Promise<void> {
  const ping = Buffer.from('0600ff06000011be80000000', 'hex')
  const socket = createSocket('udp4')
  const answered = new AbortController()
  socket.on('message', () => answered.abort())
  while (!answered.signal.aborted && child.exitCode === null) {
    socket.send(ping, port, '127.0.0.1')
    await sleep(20)
  }
  socket.close()
}
