import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

/** A port of the host's loopback that nobody has now; somebody else may take it before it is used. */
export const freePort = async (kind: 'tcp' | 'udp'): Promise<number> =>
  await (kind === 'tcp' ? freeTcpPort() : freeUdpPort())

async function freeTcpPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : freeTcpPort()
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve, reject) =>
    socket.once('error', reject).bind(0, '127.0.0.1', () => resolve()),
  )
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}
