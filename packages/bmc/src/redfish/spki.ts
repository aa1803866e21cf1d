import { realClock, type Timekeeper } from '../clock.ts'
import { Budget } from './budget.ts'
import { open, parseAddress, pinOf } from './connection.ts'
import { garbled } from './wire.ts'

const budgetMs = 30_000

/** For enrolment: the pin of whoever answers there now. Sends nothing but a TLS handshake. Throws `BmcError`. */
export async function readSpki(
  address: string,
  signal: AbortSignal,
  clock: Timekeeper = realClock,
): Promise<string> {
  const peer = { origin: parseAddress(address), spki: null }
  const socket = await open(peer, new Budget(clock, budgetMs, signal))
  const pin = pinOf(socket)
  socket.destroy()
  if (pin === null) throw garbled(peer, 'holds no certificate with a key', 'refused')
  return pin
}
