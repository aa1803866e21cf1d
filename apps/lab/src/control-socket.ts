import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { json, text } from 'node:stream/consumers'
import { answerChassis } from './bmc/chassis.ts'
import { type MachineState, type QemuMachine } from './qemu-machine.ts'

/**
 * How the rest of the lab talks to a supervisor, over a Unix socket: `GET /` gives the machine's state, `POST /chassis` is
 * ipmi_sim's question.
 */
export async function startControlSocket(
  path: string,
  machine: QemuMachine,
  log: (line: string) => void,
): Promise<Server> {
  const answer = async (call: IncomingMessage): Promise<string> => {
    if (call.url === '/chassis') return await answerChassis(machine, (await json(call)) as string[])
    return JSON.stringify(machine.state())
  }
  const server = createServer((call, response) => {
    answer(call).then(
      (body) => response.end(body),
      (error: unknown) => {
        log((error as Error).message)
        response.writeHead(500).end()
      },
    )
  })
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  return server
}

/** State of the machine behind a control socket; null when its supervisor is not there. */
export async function askState(socketPath: string): Promise<MachineState | null> {
  return await new Promise((resolve) => {
    const call = request({ socketPath, path: '/', timeout: 5000 }, (response) => {
      text(response).then(
        (body) => resolve(JSON.parse(body) as MachineState),
        () => resolve(null),
      )
    })
    call.once('timeout', () => call.destroy())
    call.once('error', () => resolve(null))
    call.end()
  })
}
