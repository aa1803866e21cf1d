import type { NicFacts } from '@byoi/contract'
import { backoff, pause } from '../backoff.ts'
import { type Log, sentenceOf } from '../log.ts'
import { carryOut, ip } from './action.ts'
import { type Link, type LinkOptions, setUpLink } from './link.ts'
import { type LinkPlan, planNetwork, portUp } from './network-plan.ts'
import { findPorts } from './ports.ts'
import { reach } from './reach.ts'

/** How long a port may take to get its carrier before all are looked at anew, in ms. */
const carrierMs = 20_000
const carrierPollMs = 250
/** How long one way is tried where there are others, in ms. Its port stays up: a switch that blocks it at first lets the next try through. */
const attemptMs = 15_000
/** How long nothing is said of a way that does not lead to the control plane yet, in ms. */
const quietMs = 5000
/** How long a line of the log is not said again, in ms. */
const repeatMs = 5 * 60_000

export interface NetworkOptions extends LinkOptions {
  controlUrl: string
  /** How long to try, in ms. */
  patienceMs: number
  signal: AbortSignal
}

/**
 * Brings up a way onto the network that leads to the control plane, and returns its link: each way that the configuration allows in
 * turn, again and again, since a switch, a DHCP server or the control plane may come later. Rejects with one sentence when patience ends,
 * or with the signal's reason.
 */
export async function bringUpNetwork(options: NetworkOptions): Promise<Link> {
  const ends = AbortSignal.timeout(options.patienceMs)
  const signal = AbortSignal.any([options.signal, ends])
  const site = { ...options, log: withoutRepeats(options.log), signal }
  const wait = backoff(signal)
  try {
    await carryOut(ip('link', 'set', 'lo', 'up'))
    for (;;) {
      try {
        const link = await tryAll(site)
        if (link !== null) return link
      } catch (error) {
        signal.throwIfAborted()
        site.log(sentenceOf(error))
      }
      await wait()
    }
  } catch (cause) {
    if (!ends.aborted || options.signal.aborted) throw cause
    const seconds = options.patienceMs / 1000
    throw new Error(`No way to the control plane was found within ${seconds} s.`, { cause })
  }
}

/** One round. null where no way led to the control plane. */
async function tryAll(site: NetworkOptions): Promise<Link | null> {
  const plans = planNetwork(site.config, await findPorts())
  const names = [...new Set(plans.flatMap(({ ports }) => ports))]
  // A port that is broken must not keep the others from being tried.
  for (const action of names.flatMap(portUp))
    await carryOut(action).catch((error: unknown) => site.log(sentenceOf(error)))
  const connected = await waitForCarrier(names, site)
  for (const plan of plans.filter(({ ports }) => ports.some((port) => connected.includes(port)))) {
    const link = await tryOne(plan, plans.length === 1, site).catch((error: unknown) => {
      site.signal.throwIfAborted()
      site.log(`${plan.name}: ${sentenceOf(error)}`)
      return null
    })
    if (link !== null) return link
  }
  return null
}

/** The ports that have a carrier, once there are any. Rejects with one sentence when none gets one. */
async function waitForCarrier(names: string[], { log, signal }: NetworkOptions): Promise<string[]> {
  const until = performance.now() + carrierMs
  for (;;) {
    const ports = (await findPorts()).filter(({ name }) => names.includes(name))
    const connected = ports.filter(({ carrier }) => carrier)
    if (connected.length > 0) {
      log(`Carrier: ${connected.map(portText).join('; ')}.`)
      return connected.map(({ name }) => name)
    }
    if (performance.now() > until)
      throw new Error(`No carrier: ${ports.map(portText).join('; ')}. Check the cables and the switch.`)
    await pause(carrierPollMs, signal)
  }
}

const portText = ({ name, mac, driver, speed }: NicFacts): string =>
  [name, mac, ...(driver === '' ? [] : [driver]), ...(speed === null ? [] : [`${speed} Mbit/s`])].join(' ')

/** @param only There is no other way: it is tried for as long as patience lasts. */
async function tryOne(plan: LinkPlan, only: boolean, site: NetworkOptions): Promise<Link | null> {
  const { log, signal, controlUrl } = site
  const link = await setUpLink(plan, site)
  const began = performance.now()
  const say = (why: string) => log(`${link.describe()}; the control plane is not reached: ${why}.`)
  try {
    const why = await reach(controlUrl, only ? Infinity : began + attemptMs, signal, (reason) => {
      if (performance.now() - began > quietMs) say(reason)
    })
    if (why === null) {
      log(`${link.describe()}; the control plane is reached.`)
      return link
    }
    say(why)
  } catch (error) {
    await link.takeDown()
    throw error
  }
  await link.takeDown()
  return null
}

/** Says a line again only when it was not said for some time: the same is tried again and again. */
function withoutRepeats(log: Log): Log {
  const said = new Map<string, number>()
  return (line) => {
    const now = performance.now()
    if (now - (said.get(line) ?? -Infinity) < repeatMs) return
    said.set(line, now)
    log(line)
  }
}
