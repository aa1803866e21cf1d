import { errorAnswer, type Json, noContent } from '../exchange.ts'
import { type Fault, type FaultContext } from '../fault.ts'
import { readOnly } from './boot-settings.ts'
import { both, bootIn, isAction, isPatchOf, onBoot, onGet, onSystem } from './change.ts'

const isOn = (body: unknown) => (body as Json | undefined)?.['ResetType'] === 'On'

/** Refuses or changes what is written to the override. */
const onWrite =
  (change: (boot: Json, context: FaultContext) => ReturnType<typeof readOnly> | Json): Fault =>
  (context) =>
  async (exchange, next) => {
    if (!isPatchOf(exchange, context.paths.system)) return await next(exchange)
    const changed = change(bootIn(exchange), context)
    return 'status' in changed && 'headers' in changed
      ? (changed as ReturnType<typeof readOnly>)
      : await next({ ...exchange, body: { Boot: changed } })
  }

const isWhole = (boot: Json) =>
  ['Enabled', 'Target', 'Mode'].every((each) => `BootSourceOverride${each}` in boot)
const partial = () => errorAnswer(400, 'Base.1.18.GeneralError', 'The request is not complete.')

const modeReadOnly = onWrite((boot) =>
  'BootSourceOverrideMode' in boot ? readOnly('BootSourceOverrideMode') : boot,
)

/** Boot overrides as vendors have them. */
export const bootFaults = {
  /** iLO 5. */
  'mode-read-only': modeReadOnly,
  /** AMI, ASRockRack: a part of the override is refused. */
  'whole-boot-required': onWrite((boot) => (isWhole(boot) ? boot : partial())),
  /** Supermicro: what is not named falls back. */
  'mode-falls-back': onWrite((boot) => ({ BootSourceOverrideMode: 'Legacy', ...boot })),
  'mode-always-legacy': onWrite((boot) => ({ ...boot, BootSourceOverrideMode: 'Legacy' })),
  /** Supermicro X10: has no mode. */
  'mode-not-shown': both(
    modeReadOnly,
    onBoot((boot) => {
      delete boot['BootSourceOverrideMode']
      delete boot['BootSourceOverrideMode@Redfish.AllowableValues']
    }),
  ),
  /** iDRAC 9: a mode, even an unchanged one, queues a BIOS job, after which the override is lost. */
  'mode-queues-a-job': ({ paths, machine }) => {
    let queued = false
    return async (exchange, next) => {
      if (isPatchOf(exchange, paths.system)) queued ||= 'BootSourceOverrideMode' in bootIn(exchange)
      if (isAction(exchange, 'Reset') && queued) await machine.setBoot({ ...machine.boot(), device: null })
      return await next(exchange)
    }
  },
  /** Lenovo XCC: `Continuous` is refused, and not listed. */
  'once-only': both(
    onWrite((boot) =>
      boot['BootSourceOverrideEnabled'] === 'Continuous' ? readOnly('BootSourceOverrideEnabled') : boot,
    ),
    onBoot((boot) => {
      boot['BootSourceOverrideEnabled@Redfish.AllowableValues'] = ['Once', 'Disabled']
    }),
  ),
  /** sushy-tools with libvirt: whatever is asked, it holds for ever. */
  'always-continuous': onWrite((boot) =>
    'BootSourceOverrideEnabled' in boot ? { ...boot, BootSourceOverrideEnabled: 'Continuous' } : boot,
  ),
  /** Keeps the device and drops that it is to be booted. */
  'once-dropped': (context) => {
    let target: unknown = 'None'
    const show = onBoot((boot) => {
      boot['BootSourceOverrideTarget'] = target
    })(context)
    return async (exchange, next) => {
      if (!isPatchOf(exchange, context.paths.system)) return await show(exchange, next)
      target = bootIn(exchange)['BootSourceOverrideTarget'] ?? target
      return noContent()
    }
  },
  /** The override stays after the start that it was for. */
  'once-not-cleared':
    ({ machine }) =>
    async (exchange, next) => {
      const before = machine.boot()
      const answer = await next(exchange)
      if (isAction(exchange, 'Reset') && isOn(exchange.body)) await machine.setBoot(before)
      return answer
    },
  /** Supermicro X11: `Cd` is the physical drive, and boots the disk. */
  'only-usbcd-boots': (context) => {
    const { machine, paths } = context
    const usb = { wanted: false }
    const show = onBoot((boot) => {
      const list = boot['BootSourceOverrideTarget@Redfish.AllowableValues'] as string[]
      list.push('UsbCd')
      if (usb.wanted && boot['BootSourceOverrideTarget'] === 'Cd') boot['BootSourceOverrideTarget'] = 'UsbCd'
    })(context)
    return async (exchange, next) => {
      if (
        isAction(exchange, 'Reset') &&
        isOn(exchange.body) &&
        machine.boot().device === 'cd' &&
        !usb.wanted
      ) {
        await machine.setBoot({ ...machine.boot(), device: 'disk' })
      }
      if (!isPatchOf(exchange, paths.system)) return await show(exchange, next)
      const boot = bootIn(exchange)
      if ('BootSourceOverrideTarget' in boot) usb.wanted = boot['BootSourceOverrideTarget'] === 'UsbCd'
      const translated = usb.wanted ? { ...boot, BootSourceOverrideTarget: 'Cd' } : boot
      return await next({ ...exchange, body: { Boot: translated } })
    }
  },
  'targets-not-listed': onBoot((boot) => {
    delete boot['BootSourceOverrideTarget@Redfish.AllowableValues']
  }),
  /** sushy-tools: an address that is not set is the word None. */
  'http-uri-is-a-word': onBoot((boot) => {
    boot['HttpBootUri'] ??= 'None'
  }),
  /** No virtual CD among the targets. */
  'no-cd-target': onBoot((boot) => {
    boot['BootSourceOverrideTarget@Redfish.AllowableValues'] = ['None', 'Pxe', 'Hdd']
  }),
  /** IBM's OpenBMC. */
  'no-override': onSystem((system) => {
    system['Boot'] = { BootOrder: ['Boot0000'] }
  }),
  /** Accepted, and nothing is set. */
  'boot-ignored':
    ({ paths }) =>
    async (exchange, next) =>
      isPatchOf(exchange, paths.system) ? noContent() : await next(exchange),
  /** The override is gone a minute after it was set, as IPMI's flags are. */
  'boot-forgotten': ({ paths, clock, machine }) => {
    let until = Number.POSITIVE_INFINITY
    return async (exchange, next) => {
      if (clock.now() >= until) {
        await machine.setBoot({ ...machine.boot(), device: null })
        until = Number.POSITIVE_INFINITY
      }
      if (isPatchOf(exchange, paths.system)) until = clock.now() + 60_000
      return await next(exchange)
    }
  },
  /** Shows the override as it was a minute ago. */
  'boot-stale-60s': (context) => {
    const { clock } = context
    const seen: { at: number; boot: Json }[] = []
    return onGet(
      (path) => path === context.paths.system,
      (system) => {
        seen.push({ at: clock.now(), boot: system['Boot'] as Json })
        const old = seen.findLast(({ at }) => at <= clock.now() - 60_000) ?? seen[0]
        system['Boot'] = old?.boot
      },
    )
  },
  /** iLO 5 and 6, for half a minute. */
  'in-post-30s': ({ paths, clock }) => {
    const until = clock.now() + 30_000
    return async (exchange, next) =>
      isPatchOf(exchange, paths.system) && clock.now() < until
        ? errorAnswer(400, 'iLO.2.8.UnableToModifyDuringSystemPOST', 'The system is in POST.')
        : await next(exchange)
  },
} satisfies Record<string, Fault>
