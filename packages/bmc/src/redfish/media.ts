import { BmcError } from '../bmc.ts'
import { ejectFrom } from './eject.ts'
import { refusal } from './errors.ts'
import { insertInto } from './insert.ts'
import { textAt } from './json.ts'
import { type KnownServer } from './server.ts'
import { becomes, findSlots, type Slot } from './slots.ts'

const ejectedMs = 60_000
const rMediaMs = 10_000

/** Replaces what is inserted. Returns when it reads as inserted. */
export async function insertMedia(server: KnownServer, url: string): Promise<void> {
  await enableRemoteMedia(server)
  const slots = await findSlots(server)
  const usable: Slot[] = []
  for (const slot of slots) if (slot.state.free || (await clear(server, slot))) usable.push(slot)
  let last = slots.length === 0 ? noSlot() : inUse()
  for (const slot of usable) {
    const refused = await insertInto(server, slot, url)
    if (refused === null) return
    last = refused
  }
  throw last
}

/** Ejects from all slots that hold something. */
export async function ejectMedia(server: KnownServer): Promise<void> {
  for (const slot of await findSlots(server)) {
    if (!(await clear(server, slot))) continue
    if (await becomes(server, slot, ({ free }) => free, ejectedMs)) continue
    throw new BmcError('The BMC was told to eject the medium, and still shows it as inserted.', {
      fault: 'not-done',
      outcome: 'unknown',
      remedy: 'Restart the BMC.',
    })
  }
}

/** False: there was nothing of ours. What somebody shows from a browser (`Applet`) is theirs, where the BMC lets them keep it. */
async function clear(server: KnownServer, slot: Slot): Promise<boolean> {
  if (slot.state.free) return false
  try {
    await ejectFrom(server, slot)
    return true
  } catch (error) {
    if (slot.state.isApplet && error instanceof BmcError && error.fault === 'refused') return false
    throw error
  }
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

const inUse = (): BmcError =>
  new BmcError('Somebody shows a medium from a console of the BMC.', {
    fault: 'busy',
    outcome: 'refused',
    remedy: 'Close the console in the browser, or detach its medium.',
  })
