import { BmcError } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { kindOf, refusal } from './errors.ts'
import { type Json, textAt } from './json.ts'
import { fieldsFor } from './insert-fields.ts'
import { type KnownServer } from './server.ts'
import { findSlots, readSlot, type Slot, type SlotState } from './slots.ts'
import { finish, Task } from './tasks.ts'

/** Some BMCs fetch the whole image before they answer. */
const insertMs = 100_000
const insertedMs = 60_000
const ejectedMs = 20_000
const pollMs = 1000
/** An eject that still runs makes an insert fail with 5xx (ironic redfish/boot.py). */
const brokenTries = 3
const brokenAgainMs = 3000
const fetchTries = 3
const fetchAgainMs = 5000
const rMediaMs = 10_000

/** Replaces what is inserted. Returns when it reads as inserted. */
export async function insertMedia(server: KnownServer, url: string): Promise<void> {
  await enableRemoteMedia(server)
  const slots = await findSlots(server)
  for (const slot of slots) if (!slot.state.free) await ejectFrom(server, slot)
  let last = noSlot()
  for (const slot of slots) {
    const refused = await insertInto(server, slot, url)
    if (refused === null) return
    last = refused
  }
  throw last
}

/** Ejects from all slots that hold something. */
export async function ejectMedia(server: KnownServer): Promise<void> {
  const slots = await findSlots(server)
  for (const slot of slots) {
    if (slot.state.free) continue
    await ejectFrom(server, slot)
    if (!(await becomes(server, slot, ({ free }) => free, insertedMs))) {
      throw notDone('was told to eject the medium, and still shows it as inserted', 'Restart the BMC.')
    }
  }
}

/** null: inserted. Else why this slot will not do; what another slot would not do either is thrown. */
async function insertInto(server: KnownServer, slot: Slot, url: string): Promise<BmcError | null> {
  const { client, quirks } = server
  const scheme = new URL(url).protocol.replace(':', '').toUpperCase()
  if (slot.protocols.length > 0 && !slot.protocols.includes(scheme)) {
    return unreadable(scheme, client.clean(slot.protocols.join(', ')))
  }
  // Always, and never left out because the image looks inserted: iDRAC shows a medium for a while after its eject.
  await ejectFrom(server, slot)
  await becomes(server, slot, ({ free }) => free, ejectedMs)
  const { answer, lost } = await askToInsert(server, slot, url)
  if (answer !== null && !answer.ok) {
    const error = refusal('refused the medium', answer, client.clean)
    if (kindOf(answer) !== 'refused' || answer.status === 403) throw error
    return error
  }
  if (answer !== null) {
    await finish(
      Task.of(answer, client, server.budget),
      'did not insert the medium',
      server.budget.within(insertMs),
    )
  }
  const path = new URL(url).pathname
  const isOurs = ({ inserted, image }: SlotState) => inserted && (image === null || image.includes(path))
  if (await becomes(server, slot, isOurs, insertedMs)) return null
  throw lost ?? notDone('took the medium and does not show it as inserted', quirks.mediaRemedy)
}

/** `lost`: the answer never came; what the slot shows will tell. */
async function askToInsert(
  server: KnownServer,
  slot: Slot,
  url: string,
): Promise<{ answer: Answer | null; lost: BmcError | null }> {
  const { budget } = server
  let fields: Json =
    slot.insert === null ? { Inserted: true, WriteProtected: true } : server.quirks.insertWith
  for (let broken = 0, fetches = 0; ; ) {
    let answer: Answer
    try {
      answer = await send(server, slot, { Image: url, ...fields })
    } catch (error) {
      if (isLost(error)) return { answer: null, lost: error }
      throw error
    }
    const kind = answer.ok ? null : kindOf(answer)
    const more = kind === 'refused' ? fieldsFor(answer.messages, url, fields) : null
    if (more !== null) {
      fields = { ...fields, ...more }
    } else if (kind === 'broken' && ++broken < brokenTries && (await budget.pause(brokenAgainMs))) {
      // Once more.
    } else if (kind === 'fetch' && ++fetches < fetchTries && (await budget.pause(fetchAgainMs))) {
      await ejectFrom(server, slot)
    } else {
      return { answer, lost: null }
    }
  }
}

/** The answer never came: it may have been done. */
const isLost = (error: unknown): error is BmcError => error instanceof BmcError && error.outcome === 'unknown'

const send = ({ client, budget }: KnownServer, slot: Slot, body: Json): Promise<Answer> =>
  slot.insert === null
    ? client.patch(slot.path, body, budget)
    : client.post(slot.insert, body, budget, { timeoutMs: insertMs })

async function ejectFrom(server: KnownServer, slot: Slot): Promise<void> {
  const { client, budget } = server
  for (let broken = 0; ; ) {
    let answer: Answer
    try {
      answer = await askToEject(server, slot)
    } catch (error) {
      if (isLost(error) && (await readSlot(server, slot)).free) return
      throw error
    }
    if (answer.ok) {
      await finish(Task.of(answer, client, budget), 'did not eject the medium', budget.within(insertedMs))
      return
    }
    // Ejecting what is empty is an error on many.
    if ((await readSlot(server, slot)).free) return
    const again = kindOf(answer) === 'broken' || kindOf(answer) === 'busy'
    if (!again || ++broken === brokenTries || !(await budget.pause(brokenAgainMs))) {
      throw refusal('refused to eject the medium', answer, client.clean)
    }
  }
}

const askToEject = ({ client, budget }: KnownServer, slot: Slot): Promise<Answer> =>
  slot.eject === null
    ? client.patch(slot.path, { Image: null, Inserted: false }, budget)
    : client.post(slot.eject, {}, budget, { once: true })

/** Whether the slot comes to such a state in time. */
async function becomes(
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

/** AMI's BMCs have remote media switched off by default (L examples/lenovo_mount_virtual_media.py). */
async function enableRemoteMedia({ client, budget, managers }: KnownServer): Promise<void> {
  for (const { json } of managers) {
    for (const name of ['#AMIVirtualMedia.EnableRMedia', '#VirtualMedia.EnableRMedia']) {
      const action = ['Actions', 'Oem', name] as const
      const target = textAt(json, ...action, 'target')
      const status =
        textAt(json, 'Oem', 'Ami', 'VirtualMedia', 'RMediaStatus') ?? textAt(json, ...action, 'Status')
      if (target === null || status === 'Enabled') continue
      const answer = await client.post(target, { RMediaState: 'Enable' }, budget)
      if (!answer.ok) throw refusal('refused to enable remote media', answer, client.clean)
      await budget.pause(rMediaMs)
    }
  }
}

const noSlot = (): BmcError =>
  new BmcError('The BMC shows no virtual CD.', {
    fault: 'refused',
    outcome: 'refused',
    remedy:
      'Add the licence for virtual media, update its firmware, or let the server boot from the network.',
  })

const unreadable = (scheme: string, protocols: string): BmcError =>
  new BmcError(`The BMC does not read images by ${scheme}; it offers ${protocols}.`, {
    fault: 'refused',
    outcome: 'refused',
    remedy:
      scheme === 'HTTP'
        ? 'Serve the agent over https.'
        : 'Serve the agent over http, or boot from the network.',
  })

const notDone = (what: string, remedy: string): BmcError =>
  new BmcError(`The BMC ${what}.`, { fault: 'not-done', outcome: 'unknown', remedy })
