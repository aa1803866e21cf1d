import { BmcError } from '../bmc.ts'
import { type Answer } from './answer.ts'
import { ejectFrom } from './eject.ts'
import { isLost, kindOf, refusal } from './errors.ts'
import { fieldsFor } from './insert-fields.ts'
import { type Json } from './json.ts'
import { type KnownServer } from './server.ts'
import { becomes, type Slot, type SlotState } from './slots.ts'
import { finish, Task } from './tasks.ts'

/** Some BMCs fetch the whole image before they answer. */
const insertMs = 100_000
const insertedMs = 60_000
const ejectedMs = 20_000
/** An eject that still runs makes an insert fail with 5xx (ironic redfish/boot.py). */
const brokenTries = 3
const brokenAgainMs = 3000
const fetchTries = 3
const fetchAgainMs = 5000

/** null: inserted. Else why this slot will not do; what another slot would not do either is thrown. */
export async function insertInto(server: KnownServer, slot: Slot, url: string): Promise<BmcError | null> {
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
  throw lost ?? notInserted(quirks.mediaRemedy)
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

const send = ({ client, budget }: KnownServer, slot: Slot, body: Json): Promise<Answer> =>
  slot.insert === null
    ? client.patch(slot.path, body, budget)
    : client.post(slot.insert, body, budget, { timeoutMs: insertMs })

const unreadable = (scheme: string, protocols: string): BmcError =>
  new BmcError(`The BMC does not read images by ${scheme}; it offers ${protocols}.`, {
    fault: 'refused',
    outcome: 'refused',
    remedy:
      scheme === 'HTTP'
        ? 'Serve the agent over https.'
        : 'Serve the agent over http, or boot from the network.',
  })

const notInserted = (remedy: string): BmcError =>
  new BmcError('The BMC took the medium and does not show it as inserted.', {
    fault: 'not-done',
    outcome: 'unknown',
    remedy,
  })
