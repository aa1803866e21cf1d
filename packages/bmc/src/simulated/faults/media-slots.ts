import { type Answer, errorAnswer, type Exchange, type Json, ok } from '../exchange.ts'
import { type Fault, type FaultContext } from '../fault.ts'
import { both, onGet } from './change.ts'

export const isSlot = ({ paths }: FaultContext, path: string) =>
  paths.media.some((media) => path === `${media}/Cd`)

export const onSlot =
  (edit: (slot: Json) => void): Fault =>
  (context) =>
    onGet((path) => isSlot(context, path), edit)

const without =
  (name: 'system' | 'manager'): Fault =>
  (context) =>
    onGet(
      (path) => path === context.paths[name],
      (resource) => {
        delete resource['VirtualMedia']
      },
    )

/** Another slot before the one that works. */
const slotBefore =
  (slot: Json, answer: (exchange: Exchange) => Answer): Fault =>
  ({ paths }) => {
    const bad = paths.media.map((media) => `${media}/Bad`)
    const list = onGet(
      (path) => (paths.media as readonly string[]).includes(path),
      (collection) => {
        const members = collection['Members'] as Json[]
        members.unshift({ '@odata.id': `${String(collection['@odata.id'])}/Bad` })
      },
    )
    return async (exchange, next) => {
      const path = bad.find((each) => exchange.path.startsWith(each))
      if (path === undefined) return await list(exchange, next)
      if (exchange.method !== 'GET') return answer(exchange)
      const actions = {
        '#VirtualMedia.InsertMedia': { target: `${path}/Actions/VirtualMedia.InsertMedia` },
        '#VirtualMedia.EjectMedia': { target: `${path}/Actions/VirtualMedia.EjectMedia` },
      }
      return ok({
        '@odata.id': path,
        Id: 'Bad',
        MediaTypes: ['CD'],
        Inserted: false,
        Actions: actions,
        ...slot,
      })
    }
  }

export const refusal = (status: number, message: string) =>
  errorAnswer(status, 'Base.1.18.GeneralError', message)

/** Where vendors have their virtual media. */
export const slotFaults = {
  'media-in-manager-only': without('system'),
  'media-in-system-only': without('manager'),
  'no-media': both(without('system'), without('manager')),
  /** NVIDIA DPU. */
  'media-members-null': ({ paths }) =>
    onGet(
      (path) => path === paths.media[0],
      (collection) => {
        collection['Members'] = null
      },
    ),
  /** Cisco UCS. */
  'media-dvd-only': onSlot((slot) => {
    slot['MediaTypes'] = ['DVD']
  }),
  'first-slot-refuses': slotBefore({}, () => refusal(400, 'Not supported in this slot.')),
  'first-slot-not-allowed': slotBefore({}, () => refusal(405, 'Not allowed.')),
  /** OpenBMC's websocket slots. */
  'first-slot-without-action': slotBefore({ Actions: {} }, () => refusal(405, 'Not allowed.')),
  /** Somebody shows a medium from a console in a browser. */
  'first-slot-of-a-viewer': slotBefore({ Inserted: true, ConnectedVia: 'Applet' }, () =>
    refusal(400, 'The device is in use by the console.'),
  ),
  'first-slot-is-a-floppy': slotBefore({ MediaTypes: ['Floppy', 'USBStick'] }, () =>
    refusal(400, 'No CDs here.'),
  ),
} satisfies Record<string, Fault>
