import { createSocket } from 'node:dgram'

/** RMCP header of class ASF, and a Presence Ping (ASF 2.0, 3.2.3.2 and 3.2.4.2). */
const ping = Buffer.from([0x06, 0x00, 0xff, 0x06, 0x00, 0x00, 0x11, 0xbe, 0x80, 0x00, 0x00, 0x00])

/** Whether a BMC on loopback answers to a Presence Ping within `ms`. */
export async function answersPing(port: number, ms: number): Promise<boolean> {
  const socket = createSocket('udp4')
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms)
      const settle = (answered: boolean) => {
        clearTimeout(timer)
        resolve(answered)
      }
      socket.once('message', () => settle(true))
      // Nobody listens there yet.
      socket.once('error', () => settle(false))
      socket.send(ping, port, '127.0.0.1')
    })
  } finally {
    socket.close()
  }
}
