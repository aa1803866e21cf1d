import { type Answer, errorAnswer, type Json, noContent } from '../exchange.ts'
import { type Fault } from '../fault.ts'
import { isAction, onGet } from './change.ts'
import { isSlot, onSlot, refusal } from './media-slots.ts'

/** Refuses inserts by their body. */
const onInsert =
  (refuse: (body: Json) => Answer | null): Fault =>
  () =>
  async (exchange, next) => {
    const refused = isAction(exchange, 'InsertMedia') ? refuse((exchange.body ?? {}) as Json) : null
    return refused ?? (await next(exchange))
  }

/** DSP8011, Base. */
const demand = (name: string) => {
  const answer = errorAnswer(
    400,
    'Base.1.12.ActionParameterMissing',
    `The action requires the parameter ${name} to be present in the request body.`,
  )
  const error = (answer.body as Json)['error'] as Json
  const [info] = error['@Message.ExtendedInfo'] as [Json]
  info['RelatedProperties'] = [`#/${name}`]
  return answer
}

/** Inserting and ejecting as vendors have it. */
export const mediaFaults = {
  /** Supermicro X11, iLO 4. */
  'insert-takes-only-image': onInsert((body) =>
    Object.keys(body).some((name) => name !== 'Image')
      ? refusal(400, 'The property Inserted is not in the list of valid properties for the resource.')
      : null,
  ),
  /** Lenovo AMI, Nokia. */
  'insert-needs-protocol': onInsert((body) =>
    body['TransferProtocolType'] === undefined ? demand('TransferProtocolType') : null,
  ),
  'insert-needs-method': onInsert((body) =>
    body['TransferMethod'] === undefined
      ? refusal(400, "'TransferMethod' property which is mandatory to complete the action is missing.")
      : null,
  ),
  /** NVIDIA DGX. */
  'insert-needs-credentials': onInsert((body) =>
    body['UserName'] === undefined ? demand('UserName') : null,
  ),
  /** Lenovo XCC1: no actions. */
  'insert-by-patch': (context) => {
    const hide = onSlot((slot) => {
      delete slot['Actions']
    })(context)
    return async (exchange, next) => {
      if (exchange.method !== 'PATCH' || !isSlot(context, exchange.path)) {
        return exchange.path.includes('/Actions/VirtualMedia')
          ? refusal(404, 'Not found.')
          : await hide(exchange, next)
      }
      const { Image, Inserted } = exchange.body as Json
      if (typeof Image === 'string' && Inserted === true) await context.machine.insert(Image)
      if (Image === null) await context.machine.eject()
      return noContent()
    }
  },
  /** Fujitsu, Lenovo AMI: says so. */
  'insert-https-only': onSlot((slot) => {
    const action = (slot['Actions'] as Json)['#VirtualMedia.InsertMedia'] as Json
    action['TransferProtocolType@Redfish.AllowableValues'] = ['HTTPS', 'NFS', 'CIFS']
  }),
  /** Supermicro X12. */
  'insert-refuses-query': onInsert((body) =>
    /[?=&%]/.test(String(body['Image'])) ? refusal(400, 'The Image is not a valid path.') : null,
  ),
  /** iDRAC with VirtualMedia.1.Attached=Detached. */
  'insert-ignored': () => async (exchange, next) =>
    isAction(exchange, 'InsertMedia') ? noContent() : await next(exchange),
  /** iRMC. */
  'insert-shows-after-20s': (context) => {
    let until = 0
    const show = onSlot((slot) => {
      if (context.clock.now() < until) Object.assign(slot, { Inserted: false, ConnectedVia: 'NotConnected' })
    })(context)
    return async (exchange, next) => {
      if (isAction(exchange, 'InsertMedia')) until = context.clock.now() + 20_000
      return await show(exchange, next)
    }
  },
  /** iDRAC 10. */
  'insert-hides-image': onSlot((slot) =>
    Object.assign(slot, { Image: null, ImageName: null, WriteProtected: null }),
  ),
  /** An eject that still runs. */
  'insert-breaks-after-eject': ({ clock }) => {
    let until = 0
    return async (exchange, next) => {
      if (isAction(exchange, 'EjectMedia')) until = clock.now() + 5000
      return isAction(exchange, 'InsertMedia') && clock.now() < until
        ? refusal(500, 'Internal error.')
        : await next(exchange)
    }
  },
  'insert-needs-licence': onInsert(() =>
    errorAnswer(403, 'iLO.2.8.LicenseKeyRequired', 'An iLO Advanced license key is required.'),
  ),
  /** The BMC cannot reach the image; its answer repeats the address. */
  'image-not-reachable': onInsert((body) =>
    errorAnswer(500, 'IDRAC.2.8.RAC0904', `The remote file ${String(body['Image'])} is not reachable.`),
  ),
  /** iLO: an empty body is refused. */
  'eject-needs-body': () => async (exchange, next) =>
    isAction(exchange, 'EjectMedia') && exchange.body === undefined
      ? refusal(415, 'Unsupported media type.')
      : await next(exchange),
  'eject-of-nothing-fails':
    ({ machine }) =>
    async (exchange, next) =>
      isAction(exchange, 'EjectMedia') && machine.medium() === null
        ? refusal(400, 'No medium is inserted.')
        : await next(exchange),
  /** iDRAC: shows the medium for a while after its eject. */
  'eject-shows-after-10s': (context) => {
    let [until, image] = [0, '']
    const show = onSlot((slot) => {
      if (context.clock.now() < until)
        Object.assign(slot, { Inserted: true, ConnectedVia: 'URI', Image: image })
    })(context)
    return async (exchange, next) => {
      const before = context.machine.medium()
      if (isAction(exchange, 'EjectMedia') && before !== null) {
        ;[until, image] = [context.clock.now() + 10_000, before.url]
      }
      return await show(exchange, next)
    }
  },
  /** An eject takes its time: until it is over, an insert is refused. */
  'eject-takes-10s': ({ clock, machine }) => {
    let until = 0
    return async (exchange, next) => {
      if (isAction(exchange, 'EjectMedia') && machine.medium() !== null) until = clock.now() + 10_000
      const isBusy = clock.now() < until
      if (isAction(exchange, 'InsertMedia') && isBusy) return refusal(400, 'A medium is inserted.')
      const answer = await next(exchange)
      const slot = answer.body as Json | undefined
      if (isBusy && exchange.method === 'GET' && slot?.['Inserted'] === false) {
        Object.assign(slot, { Inserted: true, ConnectedVia: 'URI' })
      }
      return answer
    }
  },
  /** community.general #6969: says that it is inserted, and not connected. */
  'inserted-kept': onSlot((slot) => {
    slot['Inserted'] = true
  }),
  /** Supermicro: the slot keeps the image's name for ever. */
  'image-kept': onSlot((slot) => {
    if (slot['Inserted'] === false)
      Object.assign(slot, { Image: 'http://old.test/old.iso', ImageName: 'old.iso' })
  }),
  'eject-ignored': () => async (exchange, next) =>
    isAction(exchange, 'EjectMedia') ? noContent() : await next(exchange),
  /** AMI: off until it is enabled. */
  'remote-media-disabled': (context) => {
    const { paths } = context
    const target = `${paths.manager}/Actions/Oem/AMIVirtualMedia.EnableRMedia`
    let enabled = false
    const show = onGet(
      (path) => path === paths.manager,
      (manager) => {
        manager['Oem'] = { Ami: { VirtualMedia: { RMediaStatus: enabled ? 'Enabled' : 'Disabled' } } }
        manager['Actions'] = { Oem: { '#AMIVirtualMedia.EnableRMedia': { target } } }
      },
    )
    return async (exchange, next) => {
      if (exchange.path === target) {
        enabled = (exchange.body as Json | undefined)?.['RMediaState'] === 'Enable'
        return noContent()
      }
      const refused = isAction(exchange, 'InsertMedia') && !enabled
      return refused ? refusal(400, 'Remote media support is disabled.') : await show(exchange, next)
    }
  },
} satisfies Record<string, Fault>
