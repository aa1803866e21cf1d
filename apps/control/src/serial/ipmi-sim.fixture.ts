/** OpenIPMI's simulated BMC with serial over LAN, whose serial line a test speaks for. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../control-plane.fixture.ts'

export const user = 'admin'
export const password = 'correct-horse-1'

const emulation = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

const lanConf = (port: number, serialPort: number) => `name "byoi"
set_working_mc 0x20
startlan 1
addr 127.0.0.1 ${port}
priv_limit admin
allowed_auths_callback md5
allowed_auths_user md5
allowed_auths_operator md5
allowed_auths_admin md5
guid c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
endlan
sol "tcp:127.0.0.1:${serialPort}" 115200
user 2 true "${user}" "${password}" admin 10 md5
`

export interface SimulatedBmc {
  /** UDP, on 127.0.0.1. */
  port: number
  /** What was typed on the console. */
  typed: string
  /** Writes on the serial line. */
  say(text: string | Uint8Array): void
  /** As a BMC that resets itself: all sessions are lost. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

export async function startSimulatedBmc(): Promise<SimulatedBmc> {
  const directory = await mkdtemp(join(tmpdir(), 'byoi-sol-'))
  let line: Socket | null = null
  const server = createServer((socket) => {
    line = socket
    socket.on('error', () => undefined).on('data', (bytes: Buffer) => (bmc.typed += bytes.toString('latin1')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = await freePort()
  await writeFile(join(directory, 'lan.conf'), lanConf(port, (server.address() as AddressInfo).port))
  await writeFile(join(directory, 'bmc.emu'), emulation)
  let process: ChildProcess
  const bmc: SimulatedBmc = {
    port,
    typed: '',
    say: (text) => line?.write(text),
    kill: async () => {
      process.kill('SIGKILL')
      if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
      line = null
    },
    start: async () => {
      const args = ['-n', '-c', 'lan.conf', '-f', 'bmc.emu', '-s', directory]
      process = spawn('ipmi_sim', args, { cwd: directory, stdio: 'ignore' })
      await eventually('the serial line', async () => line !== null)
    },
    stop: async () => {
      await bmc.kill()
      server.close()
      await rm(directory, { recursive: true })
    },
  }
  await bmc.start()
  return bmc
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}
