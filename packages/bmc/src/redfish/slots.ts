import { type Resource } from './client.ts'
import { at, linkAt, type Json, textAt, textsAt } from './json.ts'
import { type KnownServer, membersOf } from './server.ts'

const pollMs = 1000

/** A place of a BMC for a virtual CD. */
export interface Slot {
  path: string
  id: string
  /** Targets of the actions; null: it is changed by PATCH (Lenovo XCC1), or not at all. */
  insert: string | null
  eject: string | null
  /** Protocols that it reads an image by; empty: it does not say. */
  protocols: readonly string[]
  state: SlotState
}

export interface SlotState {
  inserted: boolean
  free: boolean
  /** Somebody shows it from a console in a browser. */
  isApplet: boolean
  image: string | null
}

/** Slots for CDs, best first: those of the system (ComputerSystem 1.13), then those of its managers, which may be others. */
export async function findSlots(server: KnownServer): Promise<Slot[]> {
  const { client, budget, resource, managers, quirks } = server
  const collections = [resource, ...managers]
    .map(({ json }) => linkAt(json, 'VirtualMedia'))
    .filter((link) => link !== null)
  const slots: Slot[] = []
  for (const collection of new Set(collections)) {
    const found: Slot[] = []
    for (const path of await membersOf(client, collection, budget)) {
      const slot = slotOf(await client.get(path, budget))
      if (slot !== null && !quirks.uselessSlots.some((each) => each.test(slot.id))) found.push(slot)
    }
    slots.push(...found.toSorted((a, b) => rank(server, a) - rank(server, b)))
  }
  return slots
}

function rank({ quirks }: KnownServer, { id }: Slot): number {
  const found = quirks.preferredSlots.findIndex((each) => each.test(id))
  return found < 0 ? quirks.preferredSlots.length : found
}

/** null: it is not for CDs. Cisco UCS names only `DVD`. */
function slotOf({ path, json }: Resource): Slot | null {
  const types = textsAt(json, 'MediaTypes')
  if (!types.includes('CD') && !types.includes('DVD')) return null
  const insert = ['Actions', '#VirtualMedia.InsertMedia']
  return {
    path,
    id: textAt(json, 'Id') ?? path.replace(/\/$/, '').split('/').at(-1) ?? '',
    insert: textAt(json, ...insert, 'target'),
    eject: textAt(json, 'Actions', '#VirtualMedia.EjectMedia', 'target'),
    protocols: textsAt(json, ...insert, 'TransferProtocolType@Redfish.AllowableValues'),
    state: stateOf(json),
  }
}

/**
 * Inserted is what says so. Free is what says so in either of two ways, because `Image` and `ImageName` may stay for ever
 * (Supermicro, community.general #12537) and so may one of the two (#6969).
 */
function stateOf(json: Json): SlotState {
  const inserted = at(json, 'Inserted')
  const via = textAt(json, 'ConnectedVia')
  return {
    inserted: inserted === true || (inserted === undefined && via !== null && via !== 'NotConnected'),
    free: inserted === false || via === 'NotConnected',
    isApplet: via === 'Applet',
    image: textAt(json, 'Image'),
  }
}

export async function readSlot({ client, budget }: KnownServer, { path }: Slot): Promise<SlotState> {
  return stateOf((await client.get(path, budget)).json)
}

/** Whether the slot comes to such a state in time. */
export async function becomes(
  server: KnownServer,
  slot: Slot,
  isSo: (state: SlotState) => boolean,
  ms: number,
): Promise<boolean> {
  const pause = server.budget.within(ms).pacer(pollMs)
  while (!isSo(await readSlot(server, slot))) {
    if (!(await pause())) return false
  }
  return true
}
